import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExact, read } from '../src/exact.js';

test('every digit of an amount is kept', () => {
  const { value, exact } = read<{ cost: number | null; parts: number[] }>(
    '{"cost":0.00012345678901234567890123,"parts":[5.50,-1e-9,128.0600,9007199254740993]}',
  );
  assert.equal(exact.cost, '0.00012345678901234567890123');
  assert.deepEqual(exact.parts, ['5.50', '-1e-9', '128.0600', '9007199254740993']);
  assert.equal(value.cost, Number(exact.cost));
});

test('what is no number stays as it is', () => {
  const text = String.raw`{"5.5":"1.10 \" 2","a\\":[true,null,"\u0031\\",""],"n":{"x":-0}}`;
  for (const source of [true, false]) {
    const exact = parseExact(text, source) as { n: { x: unknown } };
    assert.deepEqual({ ...exact, n: null }, { ...JSON.parse(text), n: null });
  }
  assert.equal((parseExact(text, false) as { n: { x: string } }).n.x, '-0');
});

test('a long string is no trouble', () => {
  const long = 'x\\n"1,2"'.repeat(200_000);
  assert.deepEqual(parseExact(JSON.stringify({ long, n: 1 }), false), { long, n: '1' });
});

test('both ways of reading agree on any document', () => {
  let state = 1;
  const next = (n: number) => {
    state = (state * 48271) % 2147483647;
    return state % n;
  };
  const make = (depth: number): unknown => {
    switch (next(depth > 3 ? 4 : 6)) {
      case 0:
        return (next(2_000_001) - 1_000_000) / 10 ** next(12);
      case 1:
        return ['', '1', '-2.5e3', '"', '\\', '\n{"a":1}', 'é🚀'][next(7)];
      case 2:
        return null;
      case 3:
        return next(2) === 1;
      case 4:
        return Array.from({ length: next(4) }, () => make(depth + 1));
      default:
        return Object.fromEntries(Array.from({ length: next(4) }, (_, i) => [`${i}."1"`, make(depth + 1)]));
    }
  };
  const literals = (value: unknown): unknown => {
    if (typeof value === 'number') return JSON.stringify(value);
    if (Array.isArray(value)) return value.map(literals);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, literals(v)]));
  };
  for (let i = 0; i < 500; i++) {
    const document = make(0);
    assert.deepEqual(parseExact(JSON.stringify(document, null, next(3)), false), literals(document));
  }
});

test('what is no JSON is an error', () => {
  assert.throws(() => read('<html>1</html>'), SyntaxError);
});
