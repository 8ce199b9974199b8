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
    after = function(value) return check_number('after', value, 9007199254740991) end,
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

-- The options that append_one knows.
local PLAIN = {maxlen = true, maxbytes = true, key = true, pubsub = true}

local NONE = {is_plain = true}

-- Publishers mostly give one option, of the same value each time: what that is as a table, by name and value.
local ALONE_MAX = 256
local alone, alone_count = {}, 0

local function keep_alone(name, value, o)
    if alone_count == ALONE_MAX then
        alone, alone_count = {}, 0
    end
    alone[name] = alone[name] or {}
    alone[name][value], alone_count = o, alone_count + 1
end

-- The options in `args` from `first` on, by name; of one that is there twice the last counts. Not to be changed.
local function options(args, first)
    local count = #args
    if first > count then
        return NONE
    end
    local name, value = args[first], args[first + 1]
    local o = first + 1 == count and alone[name] and alone[name][value]
    if o then
        return o
    end
    o = {is_plain = true}
    for i = first, count, 2 do
        name = lower(args[i])
        local check = OPTIONS[name] or refuse('there is no option ' .. shown(args[i]) ..
            ', only maxlen, maxage, maxbytes, end, key, after, snapshot, pubsub, traceparent and trace-to')
        o[name] = check(args[i + 1])
        o.is_plain = o.is_plain and PLAIN[name]
    end
    if o.maxbytes then -- events of more bytes than this are trimmed by, each of them
        o.untrimmed_bytes = o.maxbytes < TRIM_SMALL_BYTES and 0 or o.maxbytes / TRIM_PART
    end
    if first + 1 == count and o.is_plain and not o.key then
        keep_alone(args[first], value, o)
    end
    return o
end
