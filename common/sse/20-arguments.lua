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
