-- Redis' clock in milliseconds, as text. Times and ids stay text as far as they are only passed on: to print a number and
-- to read it takes longer than all else that is done with it. Arithmetic takes text as it is; comparisons do not.
local function now()
    local time = call('TIME')
    local micros = time[2]
    return #micros == 6 and time[1] .. sub(micros, 1, 3) or decimal(time[1] * 1000 + floor(micros / 1000))
end

-- While the library is loaded, and at no other time, this is there.
local is_function = redis.register_function ~= nil

-- Whether this server is part of a cluster, as far as is known. That never changes, so a function asks once. A script
-- remembers nothing and does not ask: its caller says `pubsub sharded` where that is right. CLUSTER KEYSLOT rather than
-- INFO, since it is harmless to allow to a publisher.
local on_cluster
local function is_cluster(channel)
    if is_function and on_cluster == nil then
        local reply = redis_call('CLUSTER', 'KEYSLOT', channel)
        if type_of(reply) == 'number' then
            on_cluster = true
        elseif find(reply.err, 'cluster support disabled', 1, true) then
            on_cluster = false
        end
    end
    return on_cluster
end

local function publish_command(name, pubsub)
    return (pubsub == 'sharded' or (pubsub == nil and is_cluster(name))) and 'SPUBLISH' or 'PUBLISH'
end

-- What never changes of a channel, by the name it was called by: so a function checks that name once.
local CHANNELS_KNOWN = 4096
local known, known_count = {}, 0

local function channel_of(name)
    local channel = known[name]
    if channel == nil then
        local plain = match(name, '^sse:{(.*)}$') or name
        check_channel(plain)
        -- The braces put the key into the cluster slot of the channel, which is the slot of KEYS[1].
        channel = {name = plain, key = 'sse:{' .. plain .. '}'}
        if known_count == CHANNELS_KNOWN then
            known, known_count = {}, 0
        end
        known[name] = channel
        known_count = known_count + 1
    end
    return channel
end

-- All that an appended event needs must be allowed before it is appended, or it would be kept but never published. Only
-- XADD itself is left to fail: for want of memory, say, and then nothing has happened. XTRIM and PEXPIRE are asked for with
-- each event that may be trimmed by, though few need them: a right that is missing shows at a channel's first event, not a
-- day later. Redis below 7 cannot tell.
local function check_rights(key, publish, channel, is_trimmed)
    if allows == nil then
        return
    elseif is_trimmed and not allows('XTRIM', key, 'MINID', '0') then
        forbid('XTRIM', key)
    elseif is_trimmed and not allows('PEXPIRE', key, '1') then
        forbid('PEXPIRE', key)
    elseif not allows(publish, channel, '') then
        forbid(publish, channel)
    end
end

local function check_entry(key, fields)
    if #fields < 10 or fields[1] ~= 'epoch' or not find(fields[2], '^%d+$') or fields[3] ~= 'prev' or
        fields[5] ~= 'event' or fields[7] ~= 'retry' or fields[9] ~= 'data' then
        refuse('the stream ' .. key .. ' holds entries that sse_publish did not write; DEL it, or use another channel')
    end
end

-- The newest entry of the history: its id, the ms and the offset in that, its epoch, and its fields where it has more than
-- every entry has. Nil where there is none.
local function newest(key)
    local entry = call('XREVRANGE', key, '+', '-', 'COUNT', '1')[1]
    if not entry then
        return nil
    end
    local id, fields = entry[1], entry[2]
    check_entry(key, fields)
    local dash = find(id, '-', 1, true)
    return id, sub(id, 1, dash - 1), sub(id, dash + 1), fields[2], #fields > 10 and fields or nil
end
