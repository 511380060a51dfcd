import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tagHeaders } from '../src/tags.js';

test('each tag has its header', () => {
  const tags = {
    campaignId: 'q4',
    emailId: 'e-1',
    leadId: 'l-1',
    sequenceId: 's-1',
    platform: 'instantly',
    leadValue: 'high',
  };
  assert.deepEqual(tagHeaders({ ...tags, purpose: 'follow_up', metadata: { emailType: 'first', step: 2 } }), {
    'X-Campaign-ID': 'q4',
    'X-Email-ID': 'e-1',
    'X-Lead-ID': 'l-1',
    'X-Sequence-ID': 's-1',
    'X-Purpose': 'follow_up',
    'X-Platform': 'instantly',
    'X-Lead-Value': 'high',
    'X-Meta-emailType': 'first',
    'X-Meta-step': '2',
  });
});

test('a tag that is not known has none', () => {
  assert.deepEqual(tagHeaders({ campaignId: undefined, leadId: '', metadata: { empty: ' ' } }), {});
});

test('no tag fails a call, whatever it holds', () => {
  const headers = new Headers(
    tagHeaders({ campaignId: 'Köln 🚀\r\nX-Purpose: testing', metadata: { 'E-Mail Art: 2': 'a\0b', '': 'nameless' } }),
  );
  assert.equal(headers.get('X-Purpose'), null);
  const bytes = Uint8Array.from(headers.get('X-Campaign-ID') ?? '', (character) => character.charCodeAt(0));
  assert.equal(new TextDecoder().decode(bytes), 'Köln 🚀 X-Purpose: testing');
  assert.equal(headers.get('X-Meta-E-Mail-Art-2'), 'a b');
});
