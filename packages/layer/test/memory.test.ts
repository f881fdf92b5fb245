import { Buffer } from 'node:buffer';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { openLayer } from '../src/index.ts';

describe('the memory layer', () => {
  test('listeners that answer each other without end do not keep the process from its timers', async () => {
    await using layer = await openLayer('memory:');
    let rounds = 0;
    const bounce = (room: string) => (): void => {
      rounds += 1;
      void layer.publish(room, 'again');
    };
    const subscriptions = [await layer.subscribe('ping', bounce('pong')), await layer.subscribe('pong', bounce('ping'))];
    await layer.publish('ping', 'first');
    await expect.poll(() => rounds, { interval: 1 }).toBeGreaterThan(1);
    for (const subscription of subscriptions) await subscription.close();
  });

  test('no listener is called within the publish', async () => {
    await using layer = await openLayer('memory:');
    const order: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    await layer.subscribe('r', () => {
      order.push('heard');
      resolve();
    });
    const published = layer.publish('r', 'x').then(() => order.push('published'));
    order.push('called');
    await Promise.all([published, promise]);
    expect(order).toEqual(['called', 'published', 'heard']);
  });

  test('all listeners share the bytes, which nobody else holds', async () => {
    await using layer = await openLayer('memory:');
    const payload = Buffer.from('abc');
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    await layer.subscribe('r', (event) => event.gap !== true && resolve(event.payload));
    await layer.publish('r', payload);
    expect((await promise).buffer).not.toBe(payload.buffer);
  });

  test('other layers of the process are its peers', async () => {
    await using one = await openLayer('memory:peers');
    await using other = await openLayer('memory:peers');
    await expect.poll(() => one.stats.peers).toBe(1);
    await other.close();
    await expect.poll(() => one.stats.peers).toBe(0);
  });

  test('a process whose work is done ends, though a layer is open and things wait in it', async () => {
    const script = `
      import { openLayer } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)};
      const layer = await openLayer('memory:', { history: [{ rooms: 'kept', size: 1, ageMs: 60_000 }] });
      const channel = layer.newChannel();
      await layer.subscribe('kept', () => undefined);
      await layer.publish('kept', 'x');
      await layer.groupAdd('group', channel);
      await layer.groupAdd('group', 'work');
      await layer.groupSend('group', {});
      console.log('done');`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: 30_000 });
    expect(stdout).toBe('done\n');
  });
});
