#!lua name=sse
-- How a durable event comes to be: appended to its channel's history and published to its streams, in one step.
-- docs/protocol.md ("Durable events") has what is stored and what is published.
--
--   FCALL sse_publish 1 CHANNEL DATA [EVENT [RETRY [OPTION VALUE]...]]    replies ID RECEIVERS
--   FCALL_RO sse_version 0                                               replies the version of this library
--
-- CHANNEL may also be given as the key of its history, sse:{CHANNEL}. Both have the same slot, but while a cluster moves
-- that slot, it asks where the named key is: it finds none named CHANNEL, and would send the event ahead of its history.
--
-- Without its first line this file is a script for EVAL and EVALSHA with the same keys and arguments, for where
-- functions are not to be had. So nothing here may need more than Redis 6.2 gives a script.
--
-- A reader finds a hole by two things alone: the offsets of a channel are dense, and each entry names the one before.
-- Whatever is changed here must keep both.

local VERSION = 4

local MAGIC = '\030SSE/1\n'
local CHANNEL_MAX = 128
local RETRY_MAX = 4294967295
local KEEP_MAX = 1000000000
local MAXLEN = '1000'
local MAXAGE = '86400000' -- in milliseconds

-- An error as the client is to see it. Thrown as a table, since Lua would add the place in the script to a string.
local function refuse(text)
    error({err = 'ERR sse_publish: ' .. text}, 0)
end

local function forbid(command, name)
    error({err = 'NOPERM sse_publish: this user may not ' .. command .. (name and ' ' .. name or '')}, 0)
end

-- Redis' own errors (WRONGTYPE, OOM, READONLY) pass through as they are, but for the place in the script that Redis 6.2
-- puts before some, and for what the ACL forbids: 7.0 does not say which command that is, and later versions and Valkey
-- begin with ERR.
local function raise(reply, command, name)
    if string.find(reply.err, 'The user executing the script', 1, true) or
        string.find(reply.err, 'ACL failure in script', 1, true) then
        forbid(command, name)
    end
    error({err = (string.gsub(reply.err, '^@user_script: %d+: %-', ''))}, 0)
end

local function call(command, ...)
    local reply = redis.pcall(command, ...)
    if type(reply) == 'table' and reply.err then
        raise(reply, command, (...))
    end
    return reply
end

-- What callers sent, fit for one line of an error.
local function shown(text)
    if #text > 40 then
        text = string.sub(text, 1, 40) .. '...'
    end
    text = string.gsub(text, '[^\032-\126]', '?')
    return '"' .. text .. '"'
end

-- tostring would turn numbers above 10^14 into 1e+14. Redis, too, takes longer to print a number than a string.
local function decimal(number)
    return string.format('%d', number)
end

local function check_channel(channel)
    if channel == '' then
        refuse('the channel name is empty')
    elseif #channel > CHANNEL_MAX then
        refuse('the channel name has more than ' .. CHANNEL_MAX .. ' bytes')
    elseif not string.find(channel, '^[A-Za-z0-9_.:@/-]+$') then
        refuse('channel ' .. shown(channel) .. ' holds other characters than A-Z a-z 0-9 _ . : @ / -')
    elseif string.find(channel, '^__') or string.find(channel, '^sse:') then
        refuse('channel ' .. shown(channel) .. ' is reserved: names may begin with neither "__" nor "sse:"')
    end
end

local function check_event(event)
    -- In this Lua's patterns NUL is %z.
    if string.find(event, '[\r\n%z]') then
        refuse('event name ' .. shown(event) .. ' holds CR, LF or NUL')
    elseif string.sub(event, 1, 8) == 'gateway:' then
        refuse('event name ' .. shown(event) .. ' is reserved: names that begin with "gateway:" are for gateways alone')
    end
end

-- The whole number that `text` says, or nil.
local function whole(text, min, max)
    local number = string.find(text, '^%d+$') and tonumber(text)
    return number and number >= min and number <= max and number or nil
end

-- The same number without zeros before it.
local function check_retry(retry)
    return decimal(whole(retry, 0, RETRY_MAX) or
        refuse('retry is a whole number of milliseconds up to ' .. decimal(RETRY_MAX) .. ', not ' .. shown(retry)))
end

local function check_data(data)
    if string.find(data, '\0', 1, true) then -- plain: the speed of memchr
        refuse('the data holds a NUL byte, which no event stream can carry')
    end
end

local function keep(name, value)
    return whole(value, 1, KEEP_MAX) or
        refuse('option ' .. name .. ' is a whole number from 1 to ' .. decimal(KEEP_MAX) .. ', not ' .. shown(value))
end

-- A field of the payload alone: no history keeps it. Gateways ignore what is not as they want it.
local function check_trace(name, value)
    if #value > 256 or string.find(value, '[^\032-\126]') then
        refuse('option ' .. name .. ' is up to 256 printable characters, not ' .. shown(value))
    end
    return name .. ': ' .. value .. '\n'
end

local function options(args)
    local maxlen, maxage, pubsub, lines = MAXLEN, MAXAGE, nil, ''
    for i = 4, #args, 2 do
        local name, value = string.lower(args[i]), args[i + 1]
        if name == 'maxlen' then
            maxlen = decimal(keep(name, value))
        elseif name == 'maxage' then
            maxage = decimal(keep(name, value) * 1000)
        elseif name == 'pubsub' then
            pubsub = string.lower(value)
            if pubsub ~= 'classic' and pubsub ~= 'sharded' then
                refuse('option pubsub is classic or sharded, not ' .. shown(pubsub))
            end
        elseif name == 'traceparent' or name == 'trace-to' then
            lines = lines .. check_trace(name, value)
        else
            refuse('there is no option ' .. shown(args[i]) .. ', only maxlen, maxage, pubsub, traceparent and trace-to')
        end
    end
    return maxlen, maxage, pubsub, lines
end

-- Redis' clock in milliseconds, as text. Times and ids stay text as far as they are only passed on: to print a number and
-- to read it takes longer than all else that is done with it. Arithmetic takes text as it is; comparisons do not.
local function now()
    local time = call('TIME')
    local micros = time[2]
    return #micros == 6 and time[1] .. string.sub(micros, 1, 3) or decimal(time[1] * 1000 + math.floor(micros / 1000))
end

-- While the library is loaded, and at no other time, this is there.
local is_function = redis.register_function ~= nil

-- Whether this server is part of a cluster, as far as is known. That never changes, so a function asks once. A script
-- remembers nothing and does not ask: its caller says `pubsub sharded` where that is right. CLUSTER KEYSLOT rather than
-- INFO, since it is harmless to allow to a publisher.
local on_cluster
local function is_cluster(channel)
    if is_function and on_cluster == nil then
        local reply = redis.pcall('CLUSTER', 'KEYSLOT', channel)
        if type(reply) == 'number' then
            on_cluster = true
        elseif string.find(reply.err, 'cluster support disabled', 1, true) then
            on_cluster = false
        end
    end
    return on_cluster
end

-- All that an appended event needs must be allowed before it is appended, or it would be kept but never published. Only
-- XADD itself is left to fail: for want of memory, say, and then nothing has happened. XTRIM is asked for although most
-- events do without: a right that is missing shows at the first event, not a day later. Redis below 7 cannot tell.
local function check_rights(key, publish, channel)
    local allows = redis.acl_check_cmd
    if allows == nil then
        return
    elseif not allows('XTRIM', key, 'MINID', '0') then
        forbid('XTRIM', key)
    elseif not allows('PEXPIRE', key, '1') then
        forbid('PEXPIRE', key)
    elseif not allows(publish, channel, '') then
        forbid(publish, channel)
    end
end

-- The newest entry of the history: its id, the ms and the offset in that, its epoch. Nil where there is none.
local function newest(key)
    local entry = call('XREVRANGE', key, '+', '-', 'COUNT', '1')[1]
    if not entry then
        return nil
    end
    local id, fields = entry[1], entry[2]
    if #fields ~= 10 or fields[1] ~= 'epoch' or not string.find(fields[2], '^%d+$') or fields[3] ~= 'prev' or
        fields[5] ~= 'event' or fields[7] ~= 'retry' or fields[9] ~= 'data' then
        refuse('the stream ' .. key .. ' holds entries that sse_publish did not write; DEL it, or use another channel')
    end
    local ms, offset = string.match(id, '^(%d+)-(%d+)$')
    return id, ms, offset, fields[2]
end

-- The millisecond after the highest id that the stream ever had.
local function after_all(key)
    local info = call('XINFO', 'STREAM', key)
    for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then
            return decimal(string.match(info[i + 1], '^%d+') + 1)
        end
    end
end

-- Appends an event, never before the newest one, though the clock may have been set back. Returns its id, its offset, the
-- id of the entry before, and the epoch.
--
-- Somebody may have deleted entries with XDEL or XTRIM: the stream still counts from the highest id it ever had, which may
-- be later than ours. Then the event goes after that one, so that no position of a reader from before names it.
local function append(key, maxlen, ms, event, retry, data, is_second)
    local prev, prev_ms, prev_offset, epoch = newest(key)
    local offset = '1'
    if prev == nil then
        prev, epoch = '0-0', ms
    else
        offset = decimal(prev_offset + 1)
        if ms ~= prev_ms and ms + 0 < prev_ms + 0 then
            ms = prev_ms
        end
    end
    local id = ms .. '-' .. offset
    local reply = redis.pcall('XADD', key, 'MAXLEN', '=', maxlen, id, 'epoch', epoch, 'prev', prev, 'event', event,
        'retry', retry, 'data', data)
    if reply == id then
        return id, offset, prev, epoch
    elseif not is_second and string.find(reply.err, 'equal or smaller', 1, true) then
        return append(key, maxlen, after_all(key), event, retry, data, true)
    end
    raise(reply, 'XADD', key)
end

local function publish(keys, args)
    local argc = #args
    if #keys ~= 1 or argc < 1 or (argc > 3 and argc % 2 == 0) then
        refuse('wrong number of arguments; call it as 1 CHANNEL DATA [EVENT [RETRY [OPTION VALUE]...]]')
    end
    local channel = string.match(keys[1], '^sse:{(.*)}$') or keys[1]
    local data, event, retry, lines = args[1], args[2] or '', args[3] or '', MAGIC
    local maxlen, maxage, pubsub = MAXLEN, MAXAGE, nil
    check_channel(channel)
    if event ~= '' then
        check_event(event)
        lines = lines .. 'event: ' .. event .. '\n'
    end
    if retry ~= '' then
        retry = check_retry(retry)
        lines = lines .. 'retry: ' .. retry .. '\n'
    end
    check_data(data)
    if argc > 3 then
        local traced
        maxlen, maxage, pubsub, traced = options(args)
        lines = lines .. traced
    end

    -- The braces put it into the cluster slot of the channel, which is the slot of KEYS[1].
    local key = 'sse:{' .. channel .. '}'
    local sharded = pubsub == 'sharded' or (pubsub == nil and is_cluster(channel))
    local command = sharded and 'SPUBLISH' or 'PUBLISH'
    check_rights(key, command, channel)
    local ms = now()
    local id, offset, prev, epoch = append(key, maxlen, ms, event, retry, data)
    -- No entry is older than its epoch. An XTRIM in vain is not for nothing: it steps over all that was deleted before.
    if ms - epoch > maxage + 0 then
        call('XTRIM', key, 'MINID', '=', decimal(ms - maxage))
    end
    call('PEXPIRE', key, maxage)
    local receivers = call(command, channel, lines .. 'durable: ' .. id .. ' ' .. prev .. ' ' .. epoch .. '\n\n' .. data)
    return {epoch .. '.' .. offset, receivers}
end

-- Turns what is thrown into an error reply, without the place in the script that Redis would add. From Redis 7 on, pcall
-- gives the text alone where a table was thrown.
local function sse_publish(keys, args)
    local ok, reply = pcall(publish, keys, args)
    if ok then
        return reply
    end
    local text = type(reply) == 'table' and reply.err or reply
    return {err = string.find(text, '^%u+ ') and text or 'ERR sse_publish: ' .. text}
end

if not is_function then
    return sse_publish(KEYS, ARGV)
end
redis.register_function('sse_publish', sse_publish)
redis.register_function{
    function_name = 'sse_version',
    callback = function()
        return VERSION
    end,
    flags = {'no-writes'},
}
