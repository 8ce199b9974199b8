-- An error as the client is to see it. Thrown as a table, since Lua would add the place in the script to a string.
local function refuse(text)
    error({err = 'ERR ' .. called .. ': ' .. text}, 0)
end

local function forbid(command, name)
    error({err = 'NOPERM ' .. called .. ': this user may not ' .. command .. (name and ' ' .. name or '')}, 0)
end

-- Redis' own errors (WRONGTYPE, OOM, READONLY) pass through as they are, but for the place in the script that Redis 6.2
-- puts before some, and for what the ACL forbids: 7.0 does not say which command that is, and later versions and Valkey
-- begin with ERR.
local function raise(reply, command, name)
    if find(reply.err, 'The user executing the script', 1, true) or
        find(reply.err, 'ACL failure in script', 1, true) then
        forbid(command, name)
    end
    error({err = (gsub(reply.err, '^@user_script: %d+: %-', ''))}, 0)
end

local function call(command, ...)
    local reply = redis_call(command, ...)
    if type_of(reply) == 'table' and reply.err then
        raise(reply, command, (...))
    end
    return reply
end

-- What callers sent, fit for one line of an error.
local function shown(text)
    if #text > 40 then
        text = sub(text, 1, 40) .. '...'
    end
    text = gsub(text, '[^\032-\126]', '?')
    return '"' .. text .. '"'
end

-- tostring would turn numbers above 10^14 into 1e+14. Redis, too, takes longer to print a number than a string.
local function decimal(number)
    return format('%d', number)
end
