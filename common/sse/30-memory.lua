-- A function remembers things of channels that it would have to read otherwise; a script finds them out each time. What is
-- remembered of a channel is of use as long as its newest entry is `last`, the one that the function itself has written.
-- Channels that are not used while MEMORY_MAX things come are forgotten: with all keys of 1,000 channels that take turns,
-- none is. Where it were less, each of their events would read the newest KEYS_KEPT entries, at six times its cost.
local MEMORY_MAX = 262144
local CHANNEL_THINGS = 4 -- that a channel counts before anything is remembered of it

local function new_memory()
    return {young = {}, old = {}, count = 0}
end

local function make_old(memory)
    memory.young, memory.old, memory.count = {}, memory.young, 0
end

local function remember(memory, key, m)
    if memory.count + m.things > MEMORY_MAX then
        make_old(memory)
    end
    memory.young[key], memory.count = m, memory.count + m.things
end

-- One thing more is remembered of a channel. That may be one too many: `recall` sees to it, so that what is remembered of
-- the channels that are used all the time has a bound, too.
local function count_thing(memory, m)
    m.things, memory.count = m.things + 1, memory.count + 1
end

-- What is remembered of a channel whose newest entry has the id `last`, or nil.
local function recall(memory, key, last)
    if memory.count > MEMORY_MAX then
        make_old(memory)
    end
    local m = memory.young[key]
    if m == nil then
        m = memory.old[key]
        if m == nil then
            return nil
        end
        memory.old[key] = nil
        remember(memory, key, m)
    end
    return m.last == last and m or nil
end

local function forget(memory, key)
    memory.young[key], memory.old[key] = nil, nil
end
