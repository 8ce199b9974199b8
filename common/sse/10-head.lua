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
-- The library is all files of this folder one after the other, in the order of their names. Each of them sees what those
-- before it declared. Without its first line that is also a script for EVAL and EVALSHA with the keys and arguments of
-- sse_publish, for where functions are not to be had: it ends with 27-plain.lua or 70-publish.lua, and what comes behind
-- that is for the function library alone. So nothing up to there may need more than Redis 6.2 gives a script.
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

-- Option maxbytes drops what there is no room for at the same events; besides, at each one that has more than a TRIM_PART of
-- all bytes: so there are never more than 1 and (TRIM_EVERY - 1) / TRIM_PART times as many. A channel that keeps fewer than
-- TRIM_SMALL_BYTES is trimmed at each event.
local TRIM_PART = 128
local TRIM_SMALL_BYTES = 65536
-- Of the events that trim for their number, only each SAY_EVERY-th says how many bytes there are (40-bytes.lua): at each of
-- them that would be half of what the option costs.
local SAY_EVERY = 32
local SIZES_KEPT = 16384 -- the events of one channel whose sizes are remembered, at most

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
