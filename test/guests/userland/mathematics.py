"""Each line: what was computed, how many results, a digest of all of them printed exactly. Arguments are seeded."""
import cmath, ctypes, decimal, fractions, hashlib, json, lzma, math, random, re, statistics, struct, sys, zlib

SHOW = len(sys.argv) > 1  # any argument: print each result, to find the one that differs


def section(name, results):
    digest = hashlib.sha256()
    count = 0
    for result in results:
        digest.update(str(result).encode() + b'\n')
        count += 1
        if SHOW:
            print('   ', name, result)
    print(name, count, digest.hexdigest()[:24], flush=True)


def any_double(seed, count=800):
    source = random.Random(seed)
    for _ in range(count):
        value = struct.unpack('<d', struct.pack('<Q', source.getrandbits(64)))[0]
        if value == value:
            yield value


def small(seed, count=800, low=-50, high=50):
    source = random.Random(seed)
    for _ in range(count):
        yield source.uniform(low, high)


def attempt(function):
    try:
        return repr(function())
    except Exception as error:
        return type(error).__name__


section('repr', map(repr, any_double(1, 1500)))
assert all(float(repr(x)) == x for x in any_double(2, 1500))
section('hex', (x.hex() + str(float.fromhex(x.hex()) == x) for x in any_double(3, 300)))
section('format', ('%.17g %.3f %e' % (x, y, x) for x, y in zip(any_double(4, 400), small(5, 400))))
for left, right in ((any_double(6), any_double(7)), (small(8), small(9))):
    section('arithmetic', (
        f'{x + y!r} {x - y!r} {x * y!r} {attempt(lambda: x / y)} {attempt(lambda: x // y)} {attempt(lambda: math.fmod(x, y))}'
        for x, y in zip(left, right)
    ))
for name in ('sqrt exp log log2 log1p expm1 sin cos tan asin acos atan sinh tanh asinh gamma lgamma erf cbrt '
             'floor ceil trunc').split():
    function = getattr(math, name)
    arguments = [*small(10, 150), *small(11, 80, 0, 1), *any_double(12, 80)]
    section(name, (attempt(lambda: function(x)) for x in arguments))
section('pow', (attempt(lambda: math.pow(abs(x), y / 10)) for x, y in zip(small(13), small(14))))
section('atan2', (attempt(lambda: math.atan2(x, y)) for x, y in zip(any_double(15), any_double(16))))
section('parts', (attempt(lambda: (math.frexp(x), math.modf(x), math.ldexp(x, int(y)), math.nextafter(x, y)))
                  for x, y in zip(any_double(17, 300), small(18, 300))))
section('to-integer', (f'{int(x)} {round(y, 3)!r} {int(y)}' for x, y in zip(any_double(19, 200), small(20, 200))))
section('single', (struct.pack('<fe', x, x).hex() for x in small(21)))

source = random.Random(23)
big = [source.getrandbits(source.randrange(1, 2000)) + 1 for _ in range(120)]
section('big-integers', (f'{a * b} {divmod(a, b)} {pow(a, b & 0xffff, c)} {math.gcd(a, b)} {math.isqrt(a)}'
                         for a, b, c in zip(big, big[1:], big[2:])))
section('integers', (f'{a * b} {a // b} {a % b} {a << (b & 31)} {a >> (b & 31)} {a.bit_count()}' for a, b in (
    (source.getrandbits(62) - 2**61, source.getrandbits(31) + 1) for _ in range(500))))
decimal.getcontext().prec = 60
section('decimal', (f'{decimal.Decimal(x) / decimal.Decimal(y)} {decimal.Decimal(abs(x)).sqrt()}'
                    for x, y in zip(small(24, 60), small(25, 60))))
section('fractions', (fractions.Fraction(x).limit_denominator(1000) * fractions.Fraction(y)
                      for x, y in zip(small(26, 100), small(27, 100))))
records = [{'i': i, 'f': x, 's': 'é☃' * (i % 5), 'n': [None, True, x / 3]} for i, x in enumerate(small(28, 200))]
text = json.dumps(records)
assert json.loads(text) == records
section('json', [text])
section('regular-expressions', (re.sub(r'(\d+)\.(\d)(\d*)', r'\3-\1<\2>', repr(x)) for x in any_double(29, 300)))
section('sort', sorted(any_double(30, 2000)))
blob = random.Random(32).randbytes(20000) + b'abc' * 5000
section('digests', (hashlib.new(name, blob).hexdigest() for name in ('md5', 'sha1', 'sha512', 'sha3_256', 'blake2b')))
section('compression', [zlib.crc32(blob), hashlib.sha256(zlib.compress(blob, 9)).hexdigest(),
                        hashlib.sha256(lzma.compress(blob)).hexdigest(), lzma.decompress(lzma.compress(blob)) == blob])
section('complex', (attempt(lambda: cmath.exp(complex(x / 10, y)) * cmath.log(complex(y, x)))
                    for x, y in zip(small(33, 200), small(34, 200))))
section('statistics', [statistics.fmean(small(35)), statistics.stdev(small(36, 200)), math.fsum(small(37))])

# long double: the x87
mathematics = ctypes.CDLL('libm.so.6')
for name in 'sinl cosl tanl expl logl sqrtl atanl cbrtl log2l expm1l tanhl floorl rintl roundl tgammal erfl exp2l'.split():
    function = getattr(mathematics, name)
    function.restype = ctypes.c_longdouble
    function.argtypes = [ctypes.c_longdouble]
    section(name, (repr(function(x)) for x in [*small(39, 80), *small(40, 60, 0, 1), *any_double(41, 40)]))
for name in 'powl fmodl remainderl atan2l hypotl nextafterl'.split():
    function = getattr(mathematics, name)
    function.restype = ctypes.c_longdouble
    function.argtypes = [ctypes.c_longdouble, ctypes.c_longdouble]
    pairs = zip([*small(42, 100), *any_double(43, 30)], [*small(44, 100), *any_double(45, 30)])
    section(name, (repr(function(x, y)) for x, y in pairs))
