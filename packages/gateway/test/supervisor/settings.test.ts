import { expect, test } from 'vitest';
import { ConfigError } from '../../src/config/faults.ts';
import { captureSettings, configOf } from '../../src/supervisor/settings.ts';

test('what was captured gives the same configuration, whatever the files hold meanwhile', () => {
  const files = new Map([
    ['busgate.yaml', 'drain: {deadline: 7s}\nroutes: [{path: "/room/:room", kind: room, join: anyone, publish: nobody}]'],
    ['/run/layer', 'redis://user:secret@broker\n'],
  ]);
  const input = {
    argv: ['--config', 'busgate.yaml', '--port', '1234'],
    env: { BUSGATE_LAYER_FILE: '/run/layer', BUSGATE_DRAIN_NOTICE: '1s' },
    descriptors: 5000,
    readFile: (path: string) => files.get(path) as string,
  };
  const { config, settings } = captureSettings(input);
  files.set('busgate.yaml', 'nonsense: 1');
  files.delete('/run/layer');
  const again = configOf(structuredClone(settings));
  expect(again).toEqual(config);
  expect(again).toMatchObject({ layer: 'redis://user:secret@broker', port: 1234, drain: { notice: 1000, deadline: 7000 } });
  expect(() => captureSettings(input)).toThrow(ConfigError);
});
