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

local VERSION = 1

local MAGIC = '\030SSE/1\n'
local CHANNEL_MAX = 128
local RETRY_MAX = 4294967295
local KEEP_MAX = 1000000000

-- An error as the client is to see it. Thrown as a table, since Lua would add the place in the script to a string.
local function refuse(text)
    error({err = 'ERR sse_publish: ' .. text}, 0)
end

local function forbid(command, name)
    error({err = 'NOPERM sse_publish: this user may not ' .. command .. (name and ' ' .. name or '')}, 0)
end

-- Redis' own errors (WRONGTYPE, OOM, READONLY) pass through as they are, but for the one that does not say which command
-- the ACL forbids.
local function raise(reply, command, name)
    if string.find(reply.err, 'The user executing the script', 1, true) then
        forbid(command, name)
    end
    error(reply, 0)
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
    elseif string.sub(channel, 1, 2) == '__' or string.sub(channel, 1, 4) == 'sse:' then
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

local function keep(name, value)
    return decimal(whole(value, 1, KEEP_MAX) or
        refuse('option ' .. name .. ' is a whole number from 1 to ' .. decimal(KEEP_MAX) .. ', not ' .. shown(value)))
end

local OPTIONS = {maxlen = keep, maxage = keep}

function OPTIONS.pubsub(_, value)
    value = string.lower(value)
    if value ~= 'classic' and value ~= 'sharded' then
        refuse('option pubsub is classic or sharded, not ' .. shown(value))
    end
    return value
end

local function parse(keys, args)
    if #keys ~= 1 or #args < 1 or (#args > 3 and #args % 2 == 0) then
        refuse('wrong number of arguments; call it as 1 CHANNEL DATA [EVENT [RETRY [OPTION VALUE]...]]')
    end
    local request = {channel = string.match(keys[1], '^sse:{(.*)}$') or keys[1], data = args[1], event = args[2] or '', retry = args[3] or '',
        maxlen = '1000', maxage = '86400'}
    check_channel(request.channel)
    check_event(request.event)
    if request.retry ~= '' then
        request.retry = decimal(whole(request.retry, 0, RETRY_MAX) or
            refuse('retry is a whole number of milliseconds up to ' .. decimal(RETRY_MAX) .. ', not ' .. shown(request.retry)))
    end
    if string.find(request.data, '\0', 1, true) then -- plain: the speed of memchr
        refuse('the data holds a NUL byte, which no event stream can carry')
    end
    for i = 4, #args, 2 do
        local name = string.lower(args[i])
        local check = OPTIONS[name] or refuse('there is no option ' .. shown(args[i]) .. ', only maxlen, maxage and pubsub')
        request[name] = check(name, args[i + 1])
    end
    return request
end

local function now()
    local time = call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
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
-- XADD itself is left to fail: for want of memory, say, and then nothing has happened. Redis below 7 cannot tell.
local function check_rights(request, key, publish)
    local allows = redis.acl_check_cmd
    if allows == nil then
        return
    elseif not allows('XTRIM', key, 'MINID', '0') then
        forbid('XTRIM', key)
    elseif not allows('PEXPIRE', key, '1') then
        forbid('PEXPIRE', key)
    elseif not allows(publish, request.channel, '') then
        forbid(publish, request.channel)
    end
end

-- The newest entry of the history: ms and offset of its id, its epoch. Nil where there is none.
local function newest(key)
    local entry = call('XREVRANGE', key, '+', '-', 'COUNT', '1')[1]
    if not entry then
        return nil
    end
    local fields = entry[2]
    local ms, offset = string.match(entry[1], '^(%d+)-(%d+)$')
    if #fields ~= 10 or fields[1] ~= 'epoch' or not string.find(fields[2], '^%d+$') or fields[3] ~= 'prev' or
        fields[5] ~= 'event' or fields[7] ~= 'retry' or fields[9] ~= 'data' then
        refuse('the stream ' .. key .. ' holds entries that sse_publish did not write; DEL it, or use another channel')
    end
    return {ms = tonumber(ms), offset = tonumber(offset), epoch = fields[2], id = entry[1]}
end

-- The entry's place: never before the newest one's, though the clock may have been set back.
local function place_after(last, ms)
    if last == nil then
        return {id = decimal(ms) .. '-1', epoch = decimal(ms), offset = 1, prev = '0-0'}
    end
    local offset = last.offset + 1
    return {id = decimal(math.max(ms, last.ms)) .. '-' .. decimal(offset), epoch = last.epoch, offset = offset, prev = last.id}
end

local function append(key, place, request)
    return redis.pcall('XADD', key, 'MAXLEN', '=', request.maxlen, place.id, 'epoch', place.epoch, 'prev', place.prev,
        'event', request.event, 'retry', request.retry, 'data', request.data)
end

-- Appends the event and returns its place. Somebody may have deleted entries with XDEL or XTRIM: the stream still counts
-- from the highest id it ever had, which may be later than ours. Then the event goes a millisecond after that one, so that
-- no position of a reader from before names it.
local function append_after(key, last, ms, request)
    local place = place_after(last, ms)
    local reply = append(key, place, request)
    if type(reply) == 'table' and reply.err and string.find(reply.err, 'equal or smaller', 1, true) then
        local info = call('XINFO', 'STREAM', key)
        for i = 1, #info, 2 do
            if info[i] == 'last-generated-id' then
                place = place_after(last, tonumber(string.match(info[i + 1], '^%d+')) + 1)
            end
        end
        reply = append(key, place, request)
    end
    if type(reply) == 'table' and reply.err then
        raise(reply, 'XADD', key)
    end
    return place
end

local function payload(place, request)
    return MAGIC .. (request.event ~= '' and 'event: ' .. request.event .. '\n' or '') ..
        (request.retry ~= '' and 'retry: ' .. request.retry .. '\n' or '') ..
        'durable: ' .. place.id .. ' ' .. place.prev .. ' ' .. place.epoch .. '\n\n' .. request.data
end

local function publish(keys, args)
    local request = parse(keys, args)
    -- The braces put it into the cluster slot of the channel, which is the slot of KEYS[1].
    local key = 'sse:{' .. request.channel .. '}'
    local sharded = request.pubsub == 'sharded' or (request.pubsub == nil and is_cluster(request.channel))
    local command = sharded and 'SPUBLISH' or 'PUBLISH'
    check_rights(request, key, command)
    local ms = now()
    local place = append_after(key, newest(key), ms, request)
    local maxage = request.maxage * 1000
    call('XTRIM', key, 'MINID', '=', decimal(math.max(0, ms - maxage)))
    call('PEXPIRE', key, decimal(maxage))
    local receivers = call(command, request.channel, payload(place, request))
    return {place.epoch .. '.' .. decimal(place.offset), receivers}
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
