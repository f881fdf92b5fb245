import { describe, expect, test } from 'vitest';
import { faultOf, isLostNode, layerError, replyCode } from '../src/errors.ts';

function reply(message: string): Error {
  return Object.assign(new Error(message), { name: 'ReplyError' });
}

describe('what Redis answers', () => {
  test.each([
    ["OOM command not allowed when used memory > 'maxmemory'. script: 1f, on @user_script:18.", 'OOM', 'LAYER_AWAY', 'out_of_space'],
    [
      "ERR Error running script (call to f_1f): @user_script:18: @user_script: 18: -OOM command not allowed when used memory > 'maxmemory'.",
      'OOM',
      'LAYER_AWAY',
      'out_of_space',
    ],
    [
      "ERR Error running script (call to f_1f): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.",
      'READONLY',
      'LAYER_AWAY',
      'read_only',
    ],
    ['LOADING Redis is loading the dataset in memory', 'LOADING', 'LAYER_AWAY', 'read_only'],
    ['MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist on disk.', 'MISCONF', 'LAYER_AWAY', 'read_only'],
    ['NOREPLICAS Not enough good replicas to write.', 'NOREPLICAS', 'LAYER_AWAY', 'read_only'],
    ['CLUSTERDOWN Hash slot not served', 'CLUSTERDOWN', 'LAYER_AWAY', 'read_only'],
    ['WRONGPASS invalid username-password pair or user is disabled.', 'WRONGPASS', 'REFUSED', 'refused'],
    ["NOPERM this user has no permissions to run the 'eval' command", 'NOPERM', 'REFUSED', 'refused'],
    ["ERR The user executing the script can't run this command or subcommand script: 1f, on @user_script:1.", 'NOPERM', 'REFUSED', 'refused'],
    ["ERR ACL failure in script: User foo has no permissions to run the 'rpush' command script: 1f", 'NOPERM', 'REFUSED', 'refused'],
    [
      "ERR Error running script (call to f_1f): @user_script:1: @user_script: 1: The user executing the script can't run this command",
      'NOPERM',
      'REFUSED',
      'refused',
    ],
    ['ERR Error running script (call to f_1f): @user_script:1: user_script:1: attempt to call a nil value', 'ERR', 'LAYER_AWAY', undefined],
  ])('%s', (message, word, code, fault) => {
    const error = layerError(reply(message), true);
    expect([error.code, replyCode(error), error.fault]).toEqual([code, word, fault]);
    expect(error.message).toContain(word);
    expect(isLostNode(error)).toBe(word === 'READONLY' || word === 'LOADING');
  });
});

test.each([
  [reply('MOVED 1 127.0.0.1:7000'), 'moved'],
  [reply('ERR unknown command'), 'refused'],
  [reply('OOM command not allowed'), 'out_of_space'],
  [new Error('read ECONNRESET'), undefined],
])('%s keeps a server from being used: %s', (error, fault) => {
  expect(faultOf(layerError(error, true))).toBe(fault);
});
