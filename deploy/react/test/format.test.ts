import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatCost, unknownCost } from '../src/format.js';

const german = (amount: Parameters<typeof formatCost>[0], currency?: string) =>
  formatCost(amount, { locale: 'de-DE', currency }).replaceAll('\u00a0', ' ');

test('an amount is shown in euros and cents', () => {
  assert.equal(german(1.2806), '1,28 €');
  assert.equal(german('25.612'), '25,61 €');
  assert.equal(german(0), '0,00 €');
  assert.equal(german(-3.005), '-3,01 €');
  assert.equal(german('1234567.895'), '1.234.567,90 €');
});

test('below a cent more digits are shown', () => {
  assert.equal(german('0.00012345'), '0,00012 €');
  assert.equal(german(0.0099), '0,0099 €');
  assert.equal(german(0.01), '0,01 €');
});

test('a literal is rounded once, from all its digits', () => {
  // As a number it is 0.125, whose half would go up.
  assert.equal(german('0.12499999999999999999999'), '0,12 €');
});

test('another currency is written as its own', () => {
  assert.equal(german(94.5, 'USD'), '94,50 $');
});

test('what is not known is no zero', () => {
  for (const amount of [null, undefined, '', Number.NaN, 'much']) assert.equal(german(amount), unknownCost);
});
