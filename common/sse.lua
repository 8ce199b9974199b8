#!lua name=sse
-- How durable events come to be: appended to their channel's history and published to its streams, in one step.
-- docs/protocol.md ("Durable events") has what is stored and what is published.
--
--   FCALL sse_publish 1 CHANNEL DATA [EVENT [RETRY [OPTION VALUE]...]]               replies ID RECEIVERS
--   FCALL sse_append 1 CHANNEL N EVENT1 DATA1 .. EVENTN DATAN [OPTION VALUE]...     the same; ID is the last one's
--   FCALL_RO sse_version 0                                                          replies the version of this library
--
-- CHANNEL may also be given as the key of its history, sse:{CHANNEL}. Both have the same slot, but while a cluster moves
-- that slot, it asks where the named key is: it finds none named CHANNEL, and would send the event ahead of its history.
--
-- Without its first line this file is a script for EVAL and EVALSHA with the keys and arguments of sse_publish, for where
-- functions are not to be had. So nothing here may need more than Redis 6.2 gives a script.
--
-- A reader finds a hole by two things alone: the offsets of a channel are dense, and each entry names the one before.
-- Whatever is changed here must keep both.
--
-- Nine tenths of the time goes to what Redis does for each redis.call, so this file is written to make few of them.

local VERSION = 5

local MAGIC = '\030SSE/1\n'
local CHANNEL_MAX = 128
local RETRY_MAX = 4294967295
local KEEP_MAX = 1000000000
local BATCH_MAX = 256       -- events of one sse_append
local MESSAGE_BYTES = 65536 -- of one message to the gateways that holds several events
local KEY_MAX = 256         -- bytes of option key
local KEYS_KEPT = 256       -- the newest events among which a key is looked for
local MAXLEN = 1000
local MAXAGE = 86400000 -- in milliseconds
local ENTRY_BYTES = 64  -- that option maxbytes counts for an entry beside its event name and data

-- What is too old or too much is dropped at every TRIM_EVERY-th event, and at one that comes TRIM_QUIET_MS after the one
-- before: Redis steps over all deleted entries of a node of the stream at each trim. A channel that keeps fewer than
-- TRIM_SMALL events is trimmed at each of them.
local TRIM_EVERY = 8
local TRIM_QUIET_MS = 1000
local TRIM_SMALL = 128

-- The key expires later than the history has to last, by this part of it at most: so most events need no PEXPIRE.
local EXPIRE_SLACK = 256
local EXPIRE_WINDOW = MAXAGE / EXPIRE_SLACK
local EXPIRE = MAXAGE + EXPIRE_WINDOW

-- The globals that are used most. A function finds a global by way of two metatables, which takes longer than most of what
-- is done here, and while a library is loaded there are none.
local find, match, sub, lower, gsub, format, floor, ceil, max, concat, to_number, type_of, unpack_all, redis_call, allows

local function take_globals()
    find, match, sub, lower, gsub, format = string.find, string.match, string.sub, string.lower, string.gsub, string.format
    floor, ceil, max, concat = math.floor, math.ceil, math.max, table.concat
    to_number, type_of, unpack_all = tonumber, type, unpack
    redis_call, allows = redis.pcall, redis.acl_check_cmd
end

-- The function that runs, for errors.
local called = 'sse_publish'

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

local function check_channel(channel)
    if channel == '' then
        refuse('the channel name is empty')
    elseif #channel > CHANNEL_MAX then
        refuse('the channel name has more than ' .. CHANNEL_MAX .. ' bytes')
    elseif not find(channel, '^[A-Za-z0-9_.:@/-]+$') then
        refuse('channel ' .. shown(channel) .. ' holds other characters than A-Z a-z 0-9 _ . : @ / -')
    elseif find(channel, '^__') or find(channel, '^sse:') then
        refuse('channel ' .. shown(channel) .. ' is reserved: names may begin with neither "__" nor "sse:"')
    end
end

local function check_event(event)
    -- In this Lua's patterns NUL is %z.
    if find(event, '[\r\n%z]') then
        refuse('event name ' .. shown(event) .. ' holds CR, LF or NUL')
    elseif sub(event, 1, 8) == 'gateway:' then
        refuse('event name ' .. shown(event) .. ' is reserved: names that begin with "gateway:" are for gateways alone')
    end
end

-- The whole number that `text` says, or nil.
local function whole(text, min, max)
    local number = find(text, '^%d+$') and to_number(text)
    return number and number >= min and number <= max and number or nil
end

-- The same number without zeros before it.
local function check_retry(retry)
    return decimal(whole(retry, 0, RETRY_MAX) or
        refuse('retry is a whole number of milliseconds up to ' .. decimal(RETRY_MAX) .. ', not ' .. shown(retry)))
end

local function check_data(data)
    if find(data, '\0', 1, true) then -- plain: the speed of memchr
        refuse('the data holds a NUL byte, which no event stream can carry')
    end
end

local function check_number(name, value, max)
    return whole(value, name == 'after' and 0 or 1, max) or
        refuse('option ' .. name .. ' is a whole number from ' .. (name == 'after' and 0 or 1) .. ' to ' .. decimal(max) ..
            ', not ' .. shown(value))
end

local function check_key(key)
    if key == '' or #key > KEY_MAX then
        refuse('option key has 1 to ' .. KEY_MAX .. ' bytes, not ' .. #key)
    end
    return key
end

local NO_OPTIONS = {}

-- A field of the payload alone: no history keeps it. Gateways ignore what is not as they want it.
local function check_trace(name, value)
    if #value > 256 or find(value, '[^\032-\126]') then
        refuse('option ' .. name .. ' is up to 256 printable characters, not ' .. shown(value))
    end
    return name .. ': ' .. value .. '\n'
end

local OPTIONS = {
    maxlen = function(value) return check_number('maxlen', value, KEEP_MAX) end,
    maxage = function(value) return check_number('maxage', value, KEEP_MAX) * 1000 end,
    maxbytes = function(value) return check_number('maxbytes', value, KEEP_MAX * 1000) end,
    key = check_key,
    after = function(value) return check_number('after', value, KEEP_MAX * 1000) end,
    ['end'] = function(value) return decimal(check_number('end', value, KEEP_MAX)) end,
    snapshot = function(value)
        return value == '1' or refuse('option snapshot is 1, not ' .. shown(value))
    end,
    traceparent = function(value) return check_trace('traceparent', value) end,
    ['trace-to'] = function(value) return check_trace('trace-to', value) end,
    pubsub = function(value)
        value = lower(value)
        return (value == 'classic' or value == 'sharded') and value or
            refuse('option pubsub is classic or sharded, not ' .. shown(value))
    end,
}

-- The options in `args` from `first` on, by name; of one that is there twice the last counts.
local function options(args, first)
    if first > #args then
        return NO_OPTIONS
    end
    local o = {}
    for i = first, #args, 2 do
        local name = lower(args[i])
        local check = OPTIONS[name] or refuse('there is no option ' .. shown(args[i]) ..
            ', only maxlen, maxage, maxbytes, end, key, after, snapshot, pubsub, traceparent and trace-to')
        o[name] = check(args[i + 1])
    end
    return o
end

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

-- The newest entry of the history: its id, the ms and the offset in that, its epoch, and the fields that only some entries
-- have. Nil where there is none.
local function newest(key)
    local entry = call('XREVRANGE', key, '+', '-', 'COUNT', '1')[1]
    if not entry then
        return nil
    end
    local id, fields = entry[1], entry[2]
    check_entry(key, fields)
    local dash, extra = find(id, '-', 1, true), nil
    if #fields > 10 then
        extra = {}
        for i = 11, #fields, 2 do
            extra[fields[i]] = fields[i + 1]
        end
    end
    return id, sub(id, 1, dash - 1), sub(id, dash + 1), fields[2], extra
end

-- The millisecond after the highest id that the stream ever had.
local function after_all(key)
    local info = call('XINFO', 'STREAM', key)
    for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then
            return decimal(match(info[i + 1], '^%d+') + 1)
        end
    end
end


-- A function remembers things of channels that it would have to read otherwise; a script finds them out each time. What is
-- remembered of a channel is of use as long as its newest entry is `last`, the one that the function itself has written.
-- Channels that are not used while MEMORY_MAX things come are forgotten.
local MEMORY_MAX = 131072

local function new_memory()
    return {young = {}, old = {}, count = 0}
end

local function remember(memory, key, m, things)
    memory.count = memory.count + things
    if memory.count > MEMORY_MAX then
        memory.young, memory.old, memory.count = {}, memory.young, things
    end
    memory.young[key] = m
end

local function recall(memory, key, last)
    local m = memory.young[key]
    if m == nil then
        m = memory.old[key]
        if m == nil then
            return nil
        end
        memory.old[key] = nil
        remember(memory, key, m, m.things)
    end
    return last and m.last == last.id and m or nil
end

-- Of the channels that are published to with option key: the offset for each key of the newest events, and the key for each
-- offset, modulo KEYS_KEPT.
local KEYS = new_memory()

local function put_key(m, key, offset)
    local slot = offset % KEYS_KEPT
    local old = m.keys[slot]
    if old and m.offsets[old] <= offset - KEYS_KEPT then
        m.offsets[old] = nil
    end
    m.keys[slot] = key
    m.offsets[key] = offset
end

local function new_keys()
    return {offsets = {}, keys = {}, things = KEYS_KEPT}
end

local function read_keys(key, last)
    local m = new_keys()
    local entries = call('XREVRANGE', key, '+', '-', 'COUNT', decimal(KEYS_KEPT))
    for i = #entries, 1, -1 do
        local id, fields = entries[i][1], entries[i][2]
        for f = 11, #fields, 2 do
            if fields[f] == 'key' then
                put_key(m, fields[f + 1], to_number(match(id, '%d+$')))
            end
        end
    end
    m.last = last.id
    remember(KEYS, key, m, m.things)
    return m
end

-- The offset of the event that was published with this key, if it is among the newest and still kept.
local function find_key(key, last, wanted)
    local m = recall(KEYS, key, last) or read_keys(key, last)
    local offset = m.offsets[wanted]
    if offset == nil or last.offset - offset >= KEYS_KEPT then
        return nil
    end
    local oldest = call('XRANGE', key, '-', '+', 'COUNT', '1')[1]
    return to_number(match(oldest[1], '%d+$')) <= offset and offset or nil
end

local function remember_key(key, last, place, wanted)
    local m = recall(KEYS, key, last)
    if place.begins then
        m = wanted and new_keys() or nil
        if m then
            remember(KEYS, key, m, m.things)
        end
    end
    if m then
        if wanted then
            put_key(m, wanted, place.offset)
        end
        m.last = place.prev
    end
end

-- Of the channels whose bytes are bounded: the ids of entries, the oldest first, and the bytes of all events up to each.
local SIZES = new_memory()
local NO_SIZES = {ids = {}, through = {}, first = 1}

local function remember_size(key, last, id, through)
    local m = recall(SIZES, key, last)
    if m == nil then
        m = {ids = {}, through = {}, first = 1, things = 0}
        remember(SIZES, key, m, 1)
    end
    local n = m.first + m.things
    m.ids[n], m.through[n], m.things = id, through, m.things + 1
    SIZES.count = SIZES.count + 1
    m.last = id
end

-- Entries whose bytes are counted carry "THROUGH FIRST BEFORE": the bytes of all events up to this one in this life of the
-- history; the oldest entry that there is room for; the bytes of all events before that one.
local function size_of(event, data)
    return #event + #data + ENTRY_BYTES
end

local function entry_through(entry, before)
    local fields = entry[2]
    for i = 11, #fields, 2 do
        if fields[i] == 'bytes' then
            return to_number(match(fields[i + 1], '^%d+'))
        end
    end
    return before + size_of(fields[6], fields[10])
end

-- For a history whose newest entry counts no bytes: those of the newest events that there is room for, and the oldest of
-- these.
local function count_bytes(key, maxbytes)
    local total, first, from = 0, nil, '+'
    while true do
        local page = call('XREVRANGE', key, from, '-', 'COUNT', '100')
        for _, entry in ipairs(page) do
            check_entry(key, entry[2])
            local size = size_of(entry[2][6], entry[2][10])
            if first and total + size > maxbytes then
                return total, first, 0
            end
            total, first = total + size, entry[1]
        end
        if #page < 100 then
            return total, first, 0
        end
        from = '(' .. page[100][1]
    end
end

local function bytes_of(key, last, maxbytes)
    if last == nil then
        return 0, nil, 0
    elseif last.bytes == nil then
        return count_bytes(key, maxbytes)
    end
    local through, first, before = match(last.bytes, '^(%d+) (%d+%-%d+) (%d+)$')
    return to_number(through), first, to_number(before)
end

-- Drops the oldest of the events before `id` until all up to there, which have `through` bytes, are no more than `maxbytes`.
-- Returns the oldest that stays, and the bytes before it. What this needs of the entries is remembered, or read.
local function oldest_within(key, m, first, before, through, maxbytes, id)
    while first ~= id and through - before > maxbytes do
        local at = m.first
        if m.ids[at] == first then
            first, before = m.ids[at + 1] or id, m.through[at]
            m.ids[at], m.through[at], m.first, m.things = nil, nil, at + 1, m.things - 1
        else
            local page = call('XRANGE', key, first, '+', 'COUNT', '2')
            if page[1] and page[1][1] ~= first then
                first = page[1][1] -- those before it have been trimmed for another reason
                before = max(before, entry_through(page[1], before) - size_of(page[1][2][6], page[1][2][10]))
            else
                before = page[1] and entry_through(page[1], before) or through
                first = page[2] and page[2][1] or id
            end
        end
    end
    return first, before
end

-- Where the next event goes: behind `last`, or at the beginning of a new life of the history where there is none, or where
-- its last event has ended it. Never before the newest one, though the clock may have been set back.
local function next_place(last, ms)
    if last == nil then
        return {ms = ms, offset = 0, prev = '0-0', epoch = ms, begins = true}
    end
    if ms ~= last.ms and ms + 0 < last.ms + 0 then
        ms = last.ms
    end
    if last['end'] then
        ms = ms == last.ms and decimal(ms + 1) or ms
        return {ms = ms, offset = 0, prev = '0-0', epoch = ms, begins = true}
    end
    return {ms = ms, offset = last.offset + 0, prev = last.id, epoch = last.epoch, begins = false}
end

local function is_trim_due(last, place, count, maxlen)
    local offset = place.offset
    return maxlen < TRIM_SMALL or last == nil or place.ms - last.ms >= TRIM_QUIET_MS or
        floor(offset / TRIM_EVERY) ~= floor((offset + count) / TRIM_EVERY)
end

-- The one that is later, of an id or nil and a number of milliseconds.
local function later(id, ms)
    return (id == nil or match(id, '^%d+') < ms + 0) and decimal(ms) or id
end

local NONE = {}
local NO_TRIM = '9223372036854775807'

-- What is to be kept of the history with the `count` events that come now, the first of which is `first_id`: no more than
-- `trim` events, and of those before only `oldest` and what follows it. Besides, what the new entries are to say of bytes and
-- of the newest snapshot.
local function bounds_of(key, o, last, place, size, count, first_id)
    local old = not place.begins and not o.snapshot and last or nil
    local maxlen, maxage, maxbytes = o.maxlen or MAXLEN, o.maxage or MAXAGE, o.maxbytes
    local b = {base = o.snapshot and first_id or old and old.base, oldest = last and not old and first_id or nil}
    local due = b.oldest or is_trim_due(last, place, count, maxlen)
    if maxbytes then
        local through, first, before = bytes_of(key, old, maxbytes)
        local excess = through + size - before - maxbytes
        first = first or first_id
        if excess > 0 and (due or excess > maxbytes / 16) then
            first, before = oldest_within(key, recall(SIZES, key, old) or NO_SIZES, first, before, through + size, maxbytes,
                first_id)
            b.oldest = first
        end
        b.through, b.first, b.before = through, first, decimal(before)
    end
    -- No entry is older than its epoch. An XTRIM in vain is not for nothing: it steps over all that was deleted before.
    if due and place.ms - place.epoch > maxage then
        b.oldest = later(b.oldest, place.ms - maxage)
    end
    b.trim = due and decimal(maxlen) or NO_TRIM
    return b
end

-- The fields that only some entries have.
local function extra_of(o, b, size, is_last)
    local extra, n = {}, 0
    if o.maxage and o.maxage ~= MAXAGE then
        extra[1], extra[2], n = 'maxage', decimal(o.maxage), 2
    end
    if b.base then
        extra[n + 1], extra[n + 2], n = 'base', b.base, n + 2
    end
    if b.through then
        b.through = b.through + size
        extra[n + 1], extra[n + 2], n = 'bytes', decimal(b.through) .. ' ' .. b.first .. ' ' .. b.before, n + 2
    end
    if is_last and o.key then
        extra[n + 1], extra[n + 2], n = 'key', o.key, n + 2
    end
    if is_last and o['end'] then
        extra[n + 1], extra[n + 2] = 'end', o['end']
    end
    return extra
end

local function add(key, trim, place, event, retry, data, extra)
    local id = place.ms .. '-' .. decimal(place.offset + 1)
    local reply = redis_call('XADD', key, 'MAXLEN', '=', trim, id, 'epoch', place.epoch, 'prev', place.prev, 'event', event,
        'retry', retry, 'data', data, unpack_all(extra))
    return reply == id, reply
end

-- Appends the events behind `place`, which moves along. Returns the entries' ids.
--
-- Somebody may have deleted entries with XDEL or XTRIM: the stream still counts from the highest id it ever had, which may
-- be later than ours. Then the events go after that one, so that no position of a reader from before names them.
local function add_all(key, last, place, events, datas, retry, o, b)
    local ids, count, has_extra = {}, #datas, b.base or o ~= NONE
    for i = 1, count do
        local extra = has_extra and extra_of(o, b, size_of(events[i], datas[i]), i == count) or NONE
        local trim = i == count and b.trim or NO_TRIM
        local is_added, reply = add(key, trim, place, events[i], retry, datas[i], extra)
        if not is_added and i == 1 and find(reply.err, 'equal or smaller', 1, true) then
            place.ms = after_all(key)
            is_added, reply = add(key, trim, place, events[i], retry, datas[i], extra)
        end
        if not is_added then
            raise(reply, 'XADD', key)
        end
        ids[i], place.prev, place.offset = reply, reply, place.offset + 1
        if b.through then
            remember_size(key, last, reply, b.through)
            last = {id = reply}
        end
    end
    return ids
end

-- The key lives for `maxage` after its newest event, or up to a part of that longer.
local function expire(key, last, ms, o)
    if o['end'] then
        call('PEXPIRE', key, o['end'] .. '000')
        return
    end
    local maxage = o.maxage or MAXAGE
    local slack = ceil(maxage / EXPIRE_SLACK)
    local is_same = last and not last['end'] and (last.maxage or MAXAGE) + 0 == maxage
    if not is_same or floor(ms / slack) ~= floor(last.ms / slack) then
        call('PEXPIRE', key, decimal(maxage + slack))
    end
end

local ESCAPED = {['%'] = '%25', ['\r'] = '%0D', ['\n'] = '%0A', [' '] = '%20'}

-- Looked for one by one: the plain search is that of memchr, many times as fast as that for a class of characters.
local function holds(text, byte)
    return find(text, byte, 1, true)
end

local function escape(text, is_name)
    if holds(text, '%') or holds(text, '\n') or holds(text, '\r') or (is_name and holds(text, ' ')) then
        return (gsub(text, is_name and '[%% \r\n]' or '[%%\r\n]', ESCAPED))
    end
    return text
end

-- The messages to the gateways. Of several events in one message all but the last stand in lines of their own, which
-- gateways that know no such lines ignore: they find a hole before the last one then, and read the history.
local function publish(command, channel, events, datas, retry, ids, prev, epoch, o)
    local count, receivers, first = #datas, 0, 1
    while first <= count do
        local i, bytes, parts, n = first, #datas[first], {MAGIC}, 1
        while i < count and bytes + #datas[i + 1] < MESSAGE_BYTES do
            parts[n + 1], parts[n + 2], parts[n + 3], parts[n + 4] = 'earlier: ', escape(events[i], true), ' ', escape(datas[i], false)
            parts[n + 5], n = '\n', n + 5
            i, bytes = i + 1, bytes + #datas[i + 1]
        end
        local id, before = ids[i], ids[i - 1] or prev
        parts[n + 1] = (i > first and 'first: ' .. (ids[first - 1] or prev) .. '\n' or '') ..
            (events[i] ~= '' and 'event: ' .. events[i] .. '\n' or '') .. (retry ~= '' and 'retry: ' .. retry .. '\n' or '') ..
            (o.traceparent or '') .. (o['trace-to'] or '') .. (first == 1 and o.snapshot and 'snapshot: 1\n' or '') .. (i == count and o['end'] and 'end: 1\n' or '') ..
            'durable: ' .. id .. ' ' .. before .. ' ' .. epoch .. '\n\n'
        parts[n + 2] = datas[i]
        receivers = call(command, channel, concat(parts))
        first = i + 1
    end
    return receivers
end

local function check_after(last, after)
    local offset = last and not last['end'] and last.offset + 0 or 0
    if offset ~= after then
        error({err = 'FENCED ' .. called .. ': the last offset of the channel is ' .. decimal(offset) .. ', not ' .. decimal(after)}, 0)
    end
end

local function publish_command(name, pubsub)
    return (pubsub == 'sharded' or (pubsub == nil and is_cluster(name))) and 'SPUBLISH' or 'PUBLISH'
end

-- A single event without options behind one without: what most events are. The same as `append`, without the tables that
-- this needs for all the others, which would cost a fifth more.
local function append_plain(channel, event, data, retry, id, ms, offset, epoch)
    local key, name = channel.key, channel.name
    local command, time, number, is_due = publish_command(name, nil), now(), offset + 1, true
    if time ~= ms then
        local quiet = time - ms
        time = quiet < 0 and ms or time
        is_due = number % TRIM_EVERY == 0 or quiet >= TRIM_QUIET_MS
    else
        is_due = number % TRIM_EVERY == 0
    end
    check_rights(key, command, name, is_due)
    number = decimal(number)
    local new = time .. '-' .. number
    local reply
    if is_due then
        reply = redis_call('XADD', key, 'MAXLEN', '=', MAXLEN, new, 'epoch', epoch, 'prev', id, 'event', event, 'retry', retry,
            'data', data)
    else
        reply = redis_call('XADD', key, new, 'epoch', epoch, 'prev', id, 'event', event, 'retry', retry, 'data', data)
    end
    if reply ~= new then
        return nil, reply
    end
    if is_due and time - epoch > MAXAGE then
        call('XTRIM', key, 'MINID', '=', decimal(time - MAXAGE))
    end
    if time ~= ms and floor(time / EXPIRE_WINDOW) ~= floor(ms / EXPIRE_WINDOW) then
        call('PEXPIRE', key, EXPIRE)
    end
    local lines = MAGIC
    if event ~= '' then
        lines = lines .. 'event: ' .. event .. '\n'
    end
    if retry ~= '' then
        lines = lines .. 'retry: ' .. retry .. '\n'
    end
    return {epoch .. '.' .. number, call(command, name,
        lines .. 'durable: ' .. new .. ' ' .. id .. ' ' .. epoch .. '\n\n' .. data)}
end

-- Any number of events with any options.
local function append(channel, events, datas, retry, o)
    local key, name, count, size = channel.key, channel.name, #datas, 0
    local command = publish_command(name, o.pubsub)
    check_rights(key, command, name, true)
    local id, ms, offset, epoch, last = newest(key)
    if id then
        last = last or {}
        last.id, last.ms, last.offset, last.epoch = id, ms, offset, epoch
    end
    local known_as = o.key and last and find_key(key, last, o.key)
    if known_as then
        return {last.epoch .. '.' .. decimal(known_as), 0}
    end
    if o.after then
        check_after(last, o.after)
    end
    local place = next_place(last, now())
    local prev = place.prev
    for i = 1, count do
        size = size + size_of(events[i], datas[i])
    end
    local b = bounds_of(key, o, last, place, size, count, place.ms .. '-' .. decimal(place.offset + 1))
    local ids = add_all(key, last, place, events, datas, retry, o, b)
    if b.oldest then
        call('XTRIM', key, 'MINID', '=', b.oldest)
    end
    expire(key, last, place.ms, o)
    if o.key or KEYS.count > 0 then
        remember_key(key, last, place, o.key)
    end
    local receivers = publish(command, name, events, datas, retry, ids, prev, place.epoch, o)
    return {place.epoch .. '.' .. decimal(place.offset), receivers}
end

local function publish_one(keys, args)
    called = 'sse_publish'
    local argc = #args
    if #keys ~= 1 or argc < 1 or (argc > 3 and argc % 2 == 0) then
        refuse('wrong number of arguments; call it as 1 CHANNEL DATA [EVENT [RETRY [OPTION VALUE]...]]')
    end
    local channel, data, event, retry = channel_of(keys[1]), args[1], args[2] or '', args[3] or ''
    if event ~= '' then
        check_event(event)
    end
    if retry ~= '' then
        retry = check_retry(retry)
    end
    check_data(data)
    if argc <= 3 then
        local id, ms, offset, epoch, extra = newest(channel.key)
        if id and extra == nil then
            local reply = append_plain(channel, event, data, retry, id, ms, offset, epoch)
            if reply then
                return reply
            end
        end
    end
    return append(channel, {event}, {data}, retry, argc > 3 and options(args, 4) or NONE)
end

local function publish_many(keys, args)
    called = 'sse_append'
    local count = #args > 0 and whole(args[1], 1, BATCH_MAX)
    if #keys ~= 1 or #args < 1 then
        refuse('wrong number of arguments; call it as 1 CHANNEL N EVENT1 DATA1 .. EVENTN DATAN [OPTION VALUE]..')
    elseif not count then
        refuse('the number of events is 1 to ' .. BATCH_MAX .. ', not ' .. shown(args[1]))
    elseif #args < 1 + 2 * count or #args % 2 == 0 then
        refuse('wrong number of arguments for ' .. count .. ' events, each with a name, which may be empty, and data')
    end
    local channel, events, datas = channel_of(keys[1]), {}, {}
    for i = 1, count do
        events[i], datas[i] = args[2 * i], args[2 * i + 1]
        if events[i] ~= '' then
            check_event(events[i])
        end
        check_data(datas[i])
    end
    return append(channel, events, datas, '', #args > 1 + 2 * count and options(args, 2 + 2 * count) or NONE)
end

-- Turns what is thrown into an error reply, without the place in the script that Redis would add. From Redis 7 on, pcall
-- gives the text alone where a table was thrown.
local function guarded(what, keys, args)
    if find == nil then
        take_globals()
    end
    local ok, reply = pcall(what, keys, args)
    if ok then
        return reply
    end
    local text = type_of(reply) == 'table' and reply.err or reply
    return {err = find(text, '^%u+ ') and text or 'ERR ' .. called .. ': ' .. text}
end

local function sse_publish(keys, args)
    return guarded(publish_one, keys, args)
end

local function sse_append(keys, args)
    return guarded(publish_many, keys, args)
end

if not is_function then
    return sse_publish(KEYS, ARGV)
end
redis.register_function('sse_publish', sse_publish)
redis.register_function('sse_append', sse_append)
redis.register_function{
    function_name = 'sse_version',
    callback = function()
        return VERSION
    end,
    flags = {'no-writes'},
}
