import { describe, expect, test } from 'vitest';
import { isLostNode, layerError, replyCode } from '../src/errors.ts';

function reply(message: string): Error {
  return Object.assign(new Error(message), { name: 'ReplyError' });
}

describe('what Redis answers', () => {
  test.each([
    ["OOM command not allowed when used memory > 'maxmemory'. script: 1f, on @user_script:18.", 'OOM', 'LAYER_AWAY'],
    [
      "ERR Error running script (call to f_1f): @user_script:18: @user_script: 18: -OOM command not allowed when used memory > 'maxmemory'.",
      'OOM',
      'LAYER_AWAY',
    ],
    [
      "ERR Error running script (call to f_1f): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.",
      'READONLY',
      'LAYER_AWAY',
    ],
    ["NOPERM this user has no permissions to run the 'eval' command", 'NOPERM', 'REFUSED'],
    ["ERR The user executing the script can't run this command or subcommand script: 1f, on @user_script:1.", 'NOPERM', 'REFUSED'],
    ["ERR ACL failure in script: User foo has no permissions to run the 'rpush' command script: 1f", 'NOPERM', 'REFUSED'],
    ["ERR Error running script (call to f_1f): @user_script:1: @user_script: 1: The user executing the script can't run this command", 'NOPERM', 'REFUSED'],
    ['ERR Error running script (call to f_1f): @user_script:1: user_script:1: attempt to call a nil value', 'ERR', 'LAYER_AWAY'],
  ])('%s', (message, word, code) => {
    const error = layerError(reply(message), true);
    expect([error.code, replyCode(error)]).toEqual([code, word]);
    expect(error.message).toContain(word);
    expect(isLostNode(error)).toBe(word === 'READONLY');
  });
});
