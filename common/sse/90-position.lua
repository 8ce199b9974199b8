-- How far channels have got, as the cursor that a gateway would give there: gateway/fanout/cursor.h has its form.
--
--   FCALL_RO sse_position N CHANNEL..       replies the cursor, or several with commas between where one has no room
--
-- A page reads the position, then its data, and opens its stream with the position as last_event_id: what was published
-- in between comes with the stream. In functions alone: a script has no place to remember hashes of names.

local POSITIONS_MAX = 1024     -- channels of one call
local CURSOR_BYTES = 768       -- of one cursor, before it becomes text
local POSITION_TEXT_MAX = 4096 -- bytes of the answer: no gateway takes more

local function big_endian(number, bytes)
    local text = ''
    for _ = 1, bytes do
        local low = number % 256
        text, number = char(low) .. text, (number - low) / 256
    end
    return text
end

local function varint(number)
    local text = ''
    while number >= 128 do
        local low = number % 128
        text, number = text .. char(low + 128), (number - low) / 128
    end
    return text .. char(number)
end

local DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

local function base64url(bytes)
    local text, n = {}, 0
    for i = 1, #bytes, 3 do
        local b0, b1, b2 = byte(bytes, i, i + 2)
        local bits = b0 * 65536 + (b1 or 0) * 256 + (b2 or 0)
        for digit = 0, b2 and 3 or b1 and 2 or 1 do
            local at = floor(bits / 64 ^ (3 - digit)) % 64 + 1
            n = n + 1
            text[n] = sub(DIGITS, at, at)
        end
    end
    return concat(text)
end

-- Where each channel is. One without history is at offset 0; such a position says since when, by Redis' clock, and a cursor
-- with one is as new as that. A channel that is named twice counts once.
local function positions_of(keys)
    local positions, seen = {}, {}
    for i = 1, #keys do
        local channel = channel_of(keys[i])
        if not seen[channel.key] then
            seen[channel.key] = true
            local id, ms, offset = newest(channel.key)
            if channel.hash_low == nil then
                channel.hash_high, channel.hash_low = hash(channel.name)
            end
            positions[#positions + 1] = {channel = channel, ms = (id and ms or now()) + 0, offset = id and offset + 0 or 0}
        end
    end
    return positions
end

-- Channels whose names have the same 24 bits are told apart by all 64. On a cluster all have their 64, since a stream there
-- brings the cursors of several calls, of which none knows the channels of another.
local function find_shared(positions)
    local first, is_alone = {}, is_cluster(positions[1].channel.name) == false
    for _, p in ipairs(positions) do
        local short = p.channel.hash_low % 16777216
        local other = first[short]
        if other then
            p.is_shared, other.is_shared = true, true
        end
        first[short] = p
        p.is_shared = p.is_shared or not is_alone
    end
end

local function entry_of(p, latest)
    local channel = p.channel
    local name = p.is_shared and big_endian(channel.hash_high, 4) .. big_endian(channel.hash_low, 4) or
        big_endian(channel.hash_low % 16777216, 3)
    return name .. varint(p.offset) .. (p.offset > 0 and varint(latest - p.ms) or '')
end

-- Nil where they do not fit.
local function cursor_of(positions, from, to)
    local latest, long, short, long_count = 0, '', '', 0
    for i = from, to do
        latest = max(latest, positions[i].ms)
    end
    for i = from, to do
        local entry = entry_of(positions[i], latest)
        if positions[i].is_shared then
            long, long_count = long .. entry, long_count + 1
        else
            short = short .. entry
        end
    end
    if #long + #short > CURSOR_BYTES then
        return nil
    end
    local bytes = (long_count > 0 and '\034' or '\032') .. varint(latest) ..
        (long_count > 0 and char(long_count) .. long or '') .. short
    if #bytes + 3 > CURSOR_BYTES then
        return nil
    end
    local _, check = hash(bytes)
    return base64url(big_endian(check % 16777216, 3) .. bytes)
end

local function cursors_of(positions, from, to)
    local text = cursor_of(positions, from, to)
    if text then
        return text
    end
    local middle = floor((from + to) / 2)
    return cursors_of(positions, from, middle) .. ',' .. cursors_of(positions, middle + 1, to)
end

local function position(keys, args)
    called = 'sse_position'
    if #keys < 1 or #keys > POSITIONS_MAX or #args > 0 then
        refuse('wrong number of arguments; call it as N CHANNEL.. with 1 to ' .. POSITIONS_MAX .. ' channels')
    end
    if xor == nil then
        take_hash_globals()
    end
    local positions = positions_of(keys)
    find_shared(positions)
    local text = cursors_of(positions, 1, #positions)
    if #text > POSITION_TEXT_MAX then
        refuse('the position of ' .. #positions .. ' channels has more than ' .. POSITION_TEXT_MAX ..
            ' bytes, which is more than gateways take; ask for fewer, and open a stream for each part')
    end
    return text
end

redis.register_function{
    function_name = 'sse_position',
    callback = function(keys, args)
        return guarded(position, keys, args)
    end,
    flags = {'no-writes'},
}
