import { expect, test } from 'vitest';
import { JetStreamError, faultOf, forbidden, isFullQueue } from '../src/errors.ts';

test.each([
  [10_077, 'maximum messages per subject exceeded', true, undefined],
  [10_077, 'maximum bytes exceeded', false, 'out_of_space'],
  [10_077, 'insufficient storage resources available', false, 'out_of_space'],
  [10_077, 'store is closed', false, undefined],
  [10_047, 'insufficient storage resources available', false, 'out_of_space'],
  [10_028, 'insufficient memory resources available', false, 'out_of_space'],
  [10_023, 'insufficient resources', false, 'out_of_space'],
  [10_002, 'resource limits exceeded for account', false, 'out_of_space'],
  [10_008, 'JetStream system temporarily unavailable', false, 'read_only'],
  [10_059, 'stream not found', false, undefined],
])('JetStream answers %i, %s: a full queue is no fault, and no fault is a full queue', (err_code, description, full, fault) => {
  const error = new JetStreamError('keep the message', { err_code, description });
  expect([isFullQueue(error), error.fault, error.code]).toEqual([full, fault, 'LAYER_AWAY']);
});

test.each([
  [Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }), 'unreachable'],
  [Object.assign(new Error('timed out'), { code: 'CONNECTION_TIMEOUT' }), 'unresponsive'],
  [forbidden('subscribe', 'a.b'), 'refused'],
  [new JetStreamError('say what it has', {}), 'connection_lost'],
])('%s keeps a server from being used: %s', (error, fault) => {
  expect(faultOf(error)).toBe(fault);
});
