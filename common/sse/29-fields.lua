-- One of the fields that only some entries have.
local function field_of(fields, name)
    if fields then
        for i = 11, #fields, 2 do
            if fields[i] == name then
                return fields[i + 1]
            end
        end
    end
    return nil
end

-- Whether an entry has no such field but what append_one knows.
local function is_plain_entry(fields)
    if fields then
        for i = 11, #fields, 2 do
            if fields[i] ~= 'key' and fields[i] ~= 'bytes' then
                return false
            end
        end
    end
    return true
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
