-- XXH3_64bits, by which cursors know channels, and by which gateways know cursors. Numbers are doubles here, exact up to
-- 2^53: one of 64 bits is two of 32, the higher one first.
local TWO32 = 4294967296
local xor, byte, char

-- What XXH3 has where it is given no secret; in hexadecimal digits until it is needed.
local SECRET = 'b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221' ..
    'b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8' ..
    'a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb' ..
    '170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e'

local P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
local P64_1H, P64_1L = 0x9E3779B1, 0x85EBCA87
local P64_2H, P64_2L = 0xC2B2AE3D, 0x27D4EB4F
local P64_3H, P64_3L = 0x165667B1, 0x9E3779F9
local P64_4H, P64_4L = 0x85EBCA77, 0xC2B2AE63
local P64_5H, P64_5L = 0x27D4EB2F, 0x165667C5

local function xor32(a, b)
    return xor(a, b) % TWO32 -- bit.bxor gives a signed number
end

local function add64(ah, al, bh, bl)
    local lo = al + bl
    local carry = lo >= TWO32 and 1 or 0
    return (ah + bh + carry) % TWO32, lo - carry * TWO32
end

-- All 64 bits of the product of two numbers of 32.
local function multiply32(a, b)
    local b0 = b % 65536
    local high = a * ((b - b0) / 65536)
    local shifted = high % 65536
    local low = a * b0 + shifted * 65536
    local lo = low % TWO32
    return (high - shifted) / 65536 + (low - lo) / TWO32, lo
end

-- The lower 64 bits of the product.
local function multiply64(ah, al, bh, bl)
    local hi, lo = multiply32(al, bl)
    local _, left = multiply32(ah, bl)
    local _, right = multiply32(al, bh)
    return (hi + left + right) % TWO32, lo
end

-- The lower 64 bits of the product, and with them by XOR the higher ones.
local function fold(ah, al, bh, bl)
    local h0, w0 = multiply32(al, bl)
    local h1, l1 = multiply32(al, bh)
    local h2, l2 = multiply32(ah, bl)
    local h3, l3 = multiply32(ah, bh)
    local middle = h0 + l1 + l2
    local w1 = middle % TWO32
    local upper = l3 + h1 + h2 + (middle - w1) / TWO32
    local w2 = upper % TWO32
    return xor32(w1, h3 + (upper - w2) / TWO32), xor32(w0, w2)
end

-- XOR with the same number shifted to the right.
local function xor_shift(hi, lo, by)
    if by >= 32 then
        return hi, xor32(lo, floor(hi / 2 ^ (by - 32)))
    end
    local rest = hi % 2 ^ by
    return xor32(hi, floor(hi / 2 ^ by)), xor32(lo, floor(lo / 2 ^ by) + rest * 2 ^ (32 - by))
end

-- To the left, by fewer than 32 bits.
local function rotate(hi, lo, by)
    local keep, up = 2 ^ (32 - by), 2 ^ by
    return (hi % keep) * up + floor(lo / keep), (lo % keep) * up + floor(hi / keep)
end

local function avalanche(hi, lo)
    hi, lo = xor_shift(hi, lo, 37)
    hi, lo = multiply64(hi, lo, 0x16566791, 0x9E3779F9)
    return xor_shift(hi, lo, 32)
end

-- Little endian, from the byte at offset `at` on.
local function read32(text, at)
    local b0, b1, b2, b3 = byte(text, at + 1, at + 4)
    return b0 + b1 * 256 + b2 * 65536 + b3 * 16777216
end

local function read64(text, at)
    return read32(text, at + 4), read32(text, at)
end

local function xor_secret(text, at, secret_at)
    return xor32(read32(text, at + 4), read32(SECRET, secret_at + 4)), xor32(read32(text, at), read32(SECRET, secret_at))
end

local function secret_pair(at)
    return xor32(read32(SECRET, at + 4), read32(SECRET, at + 12)), xor32(read32(SECRET, at), read32(SECRET, at + 8))
end

local function hash_1_to_3(text, len)
    local first, middle, last = byte(text, 1), byte(text, floor(len / 2) + 1), byte(text, len)
    local combined = last + len * 256 + first * 65536 + middle * 16777216
    local hi, lo = xor_shift(0, xor32(combined, xor32(read32(SECRET, 0), read32(SECRET, 4))), 33)
    hi, lo = multiply64(hi, lo, P64_2H, P64_2L)
    hi, lo = xor_shift(hi, lo, 29)
    hi, lo = multiply64(hi, lo, P64_3H, P64_3L)
    return xor_shift(hi, lo, 32)
end

local function hash_4_to_8(text, len)
    local hi, lo = secret_pair(8)
    hi, lo = xor32(hi, read32(text, 0)), xor32(lo, read32(text, len - 4))
    local h17, l17 = rotate(lo, hi, 17) -- by 49, that is
    local h24, l24 = rotate(hi, lo, 24)
    hi, lo = multiply64(xor32(hi, xor32(h17, h24)), xor32(lo, xor32(l17, l24)), 0x9FB21C65, 0x1E98DF25)
    hi, lo = multiply64(hi, xor32(lo, floor(hi / 8) + len), 0x9FB21C65, 0x1E98DF25)
    return xor_shift(hi, lo, 28)
end

local function swap32(number)
    local b0, b1 = number % 256, floor(number / 256) % 256
    local b2, b3 = floor(number / 65536) % 256, floor(number / 16777216)
    return b0 * 16777216 + b1 * 65536 + b2 * 256 + b3
end

local function hash_9_to_16(text, len)
    local flip_h, flip_l = secret_pair(24)
    local ah, al = read64(text, 0)
    ah, al = xor32(ah, flip_h), xor32(al, flip_l)
    flip_h, flip_l = secret_pair(40)
    local bh, bl = read64(text, len - 8)
    bh, bl = xor32(bh, flip_h), xor32(bl, flip_l)
    local hi, lo = add64(0, len, swap32(al), swap32(ah))
    hi, lo = add64(hi, lo, bh, bl)
    return avalanche(add64(hi, lo, fold(ah, al, bh, bl)))
end

-- The sum so far and 16 bytes.
local function mix(hi, lo, text, at, secret_at)
    local ah, al = xor_secret(text, at, secret_at)
    return add64(hi, lo, fold(ah, al, xor_secret(text, at + 8, secret_at + 8)))
end

local function hash_17_to_128(text, len)
    local hi, lo = multiply64(0, len, P64_1H, P64_1L)
    for i = floor((len - 1) / 32), 0, -1 do
        hi, lo = mix(hi, lo, text, 16 * i, 32 * i)
        hi, lo = mix(hi, lo, text, len - 16 * (i + 1), 32 * i + 16)
    end
    return avalanche(hi, lo)
end

local function hash_129_to_240(text, len)
    local hi, lo = multiply64(0, len, P64_1H, P64_1L)
    for i = 0, 7 do
        hi, lo = mix(hi, lo, text, 16 * i, 16 * i)
    end
    hi, lo = avalanche(hi, lo)
    for i = 8, floor(len / 16) - 1 do
        hi, lo = mix(hi, lo, text, 16 * i, 16 * (i - 8) + 3)
    end
    return avalanche(mix(hi, lo, text, len - 16, 119))
end

local function accumulate(acc, text, at, secret_at)
    for lane = 0, 7 do
        local hi, lo = read64(text, at + 8 * lane)
        local neighbour = lane % 2 == 0 and lane + 1 or lane - 1
        acc[2 * neighbour], acc[2 * neighbour + 1] = add64(acc[2 * neighbour], acc[2 * neighbour + 1], hi, lo)
        acc[2 * lane], acc[2 * lane + 1] =
            add64(acc[2 * lane], acc[2 * lane + 1], multiply32(xor_secret(text, at + 8 * lane, secret_at + 8 * lane)))
    end
end

-- Up to 1024 bytes: more is mixed in another way in between.
local function hash_241_to_1024(text, len)
    local acc = {[0] = 0, P32_3, P64_1H, P64_1L, P64_2H, P64_2L, P64_3H, P64_3L, P64_4H, P64_4L, 0, P32_2, P64_5H, P64_5L, 0,
        P32_1}
    for stripe = 0, floor((len - 1) / 64) - 1 do
        accumulate(acc, text, 64 * stripe, 8 * stripe)
    end
    accumulate(acc, text, len - 64, 121)
    local hi, lo = multiply64(0, len, P64_1H, P64_1L)
    for pair = 0, 3 do
        local secret_h, secret_l = read64(SECRET, 11 + 16 * pair)
        local ah, al = xor32(acc[4 * pair], secret_h), xor32(acc[4 * pair + 1], secret_l)
        secret_h, secret_l = read64(SECRET, 19 + 16 * pair)
        hi, lo = add64(hi, lo, fold(ah, al, xor32(acc[4 * pair + 2], secret_h), xor32(acc[4 * pair + 3], secret_l)))
    end
    return avalanche(hi, lo)
end

-- Of 1 to 1024 bytes.
local function hash(text)
    local len = #text
    if len <= 3 then
        return hash_1_to_3(text, len)
    elseif len <= 8 then
        return hash_4_to_8(text, len)
    elseif len <= 16 then
        return hash_9_to_16(text, len)
    elseif len <= 128 then
        return hash_17_to_128(text, len)
    elseif len <= 240 then
        return hash_129_to_240(text, len)
    end
    return hash_241_to_1024(text, len)
end

-- What the hashes need of the globals, which are not there while the library is loaded.
local function take_hash_globals()
    xor, byte, char = bit.bxor, string.byte, string.char
    SECRET = gsub(SECRET, '%x%x', function(digits) return char(to_number(digits, 16)) end)
end
