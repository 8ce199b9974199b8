-- Of the channels that are published to with option key: the offset for each key of the newest events, and the key for each
-- offset, modulo KEYS_KEPT.
local KEYED = new_memory()

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
    remember(KEYED, key, m, m.things)
    return m
end

-- The offset of the event that was published with this key, if it is among the newest and still kept.
local function find_key(key, last, wanted)
    local m = recall(KEYED, key, last) or read_keys(key, last)
    local offset = m.offsets[wanted]
    if offset == nil or last.offset - offset >= KEYS_KEPT then
        return nil
    end
    local oldest = call('XRANGE', key, '-', '+', 'COUNT', '1')[1]
    return to_number(match(oldest[1], '%d+$')) <= offset and offset or nil
end

local function remember_key(key, last, place, wanted)
    local m = recall(KEYED, key, last)
    if place.begins then
        m = wanted and new_keys() or nil
        if m then
            remember(KEYED, key, m, m.things)
        end
    end
    if m then
        if wanted then
            put_key(m, wanted, place.offset)
        end
        m.last = place.prev
    end
end
