-- Run by LuaJIT in a Debian userland, with its compiler and without, in the guest and on the real processor; what it
-- prints must be the same. The argument says how much of everything.
local scale = tonumber(arg[1]) or 1
local bit = require 'bit'

local function report(name, ...)
  local parts = {}
  for k, value in ipairs({...}) do parts[k] = type(value) == 'number' and string.format('%.17g', value) or tostring(value) end
  print(name, table.concat(parts, ' '))
end

-- Integers: the 32-bit hash of FNV over counters, and the sieve.
local hash = 0x811c9dc5
for k = 1, 300000 * scale do hash = bit.tobit(bit.bxor(hash, bit.band(k, 255)) * 403) end
report('hash', bit.tohex(hash))

local limit, sieve, primes = 200000 * scale, {}, 0
for k = 2, limit do
  if not sieve[k] then
    primes = primes + 1
    for multiple = k * k, limit, k do sieve[multiple] = true end
  end
end
report('primes', primes)

-- Doubles: n-body like sums, Mandelbrot counts, spectral norm.
local inside = 0
for y = 0, 63 do
  for x = 0, 63 do
    local cr, ci, zr, zi, n = x / 32 - 1.5, y / 32 - 1, 0, 0, 0
    while n < 50 * scale and zr * zr + zi * zi < 4 do
      zr, zi, n = zr * zr - zi * zi + cr, 2 * zr * zi + ci, n + 1
    end
    inside = inside + n
  end
end
report('mandelbrot', inside)

local function a(i, j) return 1 / ((i + j) * (i + j + 1) / 2 + i + 1) end
local n, u, v, t = 60, {}, {}, {}
local function times(x, y, f)
  for i = 0, n - 1 do
    local sum = 0
    for j = 0, n - 1 do sum = sum + f(i, j) * x[j] end
    y[i] = sum
  end
end
local function turned(i, j) return a(j, i) end
for i = 0, n - 1 do u[i] = 1 end
for _ = 1, 5 * scale do
  times(u, t, a) times(t, v, turned) times(v, t, a) times(t, u, turned)
end
local top, bottom = 0, 0
for i = 0, n - 1 do top, bottom = top + u[i] * v[i], bottom + v[i] * v[i] end
report('spectral norm', math.sqrt(top / bottom))

-- Calls, closures, coroutines.
local function fibonacci(k) if k < 2 then return k end return fibonacci(k - 1) + fibonacci(k - 2) end
report('fibonacci', fibonacci(23))
local total = 0
for k = 1, 300 * scale do
  local produce = coroutine.wrap(function() for each = 1, 20 do coroutine.yield(each * k) end end)
  for _ = 1, 20 do total = total + produce() end
end
report('coroutines', total)

-- Memory: C structures, 64-bit integers, permutations, strings.
local ffi = require 'ffi'
ffi.cdef 'typedef struct { uint64_t state; double weight; int16_t small; } element;'
local elements = ffi.new('element[64]')
for k = 0, 63 do elements[k].state = k * 0x9e3779b97f4a7c15ULL + 1 end
for round = 1, 2000 * scale do
  for k = 0, 63 do
    local e = elements[k]
    e.state = e.state * 6364136223846793005ULL + 1442695040888963407ULL
    e.small = e.small + round
    e.weight = e.weight * 0.5 + tonumber(e.state / 0x100000000ULL) % 1000
  end
end
local mixed, weight, small = 0ULL, 0, 0
for k = 0, 63 do mixed, weight, small = mixed * 31 + elements[k].state, weight + elements[k].weight, small + elements[k].small end
report('structures', mixed, weight, small)

local function permutations(size)
  local p, q, s, sign, most, sum = {}, {}, {}, 1, 0, 0
  for i = 1, size do p[i], q[i], s[i] = i, i, i end
  while true do
    local first = p[1]
    if first ~= 1 then
      for i = 2, size do q[i] = p[i] end
      local flips = 1
      while true do
        local other = q[first]
        if other == 1 then
          sum = sum + sign * flips
          if flips > most then most = flips end
          break
        end
        q[first] = first
        if first >= 4 then
          local i, j = 2, first - 1
          repeat q[i], q[j] = q[j], q[i] i, j = i + 1, j - 1 until i >= j
        end
        first, flips = other, flips + 1
      end
    end
    if sign == 1 then
      p[1], p[2], sign = p[2], p[1], -1
    else
      p[2], p[3], sign = p[3], p[2], 1
      for i = 3, size do
        local left = s[i]
        if left ~= 1 then s[i] = left - 1 break end
        if i == size then return sum, most end
        s[i] = i
        local moved = p[1]
        for j = 1, i do p[j] = p[j + 1] end
        p[i + 1] = moved
      end
    end
  end
end
report('fannkuch', permutations(8))

local words, counts = {}, {}
for k = 1, 4000 * scale do words[k] = ('%x'):format(k * 7919 % 65536):rep(1 + k % 3) end
table.sort(words)
for _, word in ipairs(words) do
  for letter in word:gmatch('.') do counts[letter] = (counts[letter] or 0) + 1 end
end
local letters = {}
for letter, count in pairs(counts) do letters[#letters + 1] = letter .. count end
table.sort(letters)
report('strings', words[1], words[#words], table.concat(letters, ','), #table.concat(words):gsub('[0-4]+', '-'))

-- Types that change under compiled code: traces are left, linked and abandoned.
local shapes, area = {}, 0
for k = 1, 20000 * scale do
  shapes[k % 50 + 1] = k % 3 == 0 and k or k % 3 == 1 and tostring(k) or { k }
  local shape = shapes[(k * 7) % 50 + 1]
  if type(shape) == 'table' then area = area + shape[1] * 0.25
  elseif type(shape) == 'string' then area = area + #shape
  elseif shape then area = area - shape % 17 end
  if k % 4000 == 0 then shapes = {} end
end
report('shapes', area)
if jit then io.stderr:write(tostring((jit.status())), '\n') end
