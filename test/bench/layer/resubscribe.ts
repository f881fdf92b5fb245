import { openLayer } from '@busgate/layer';
import type { Broker } from '../../support/brokers.ts';

/** Seconds from the moment that a restarted broker answers until that many rooms are subscribed again, each told its gap. */
export async function resubscribe(rooms: number, start: () => Promise<Broker>): Promise<number> {
  await using broker = await start();
  await using layer = await openLayer(broker.url);
  const { promise, resolve } = Promise.withResolvers<number>();
  let gaps = 0;
  const listener = (event: { gap?: boolean }): void => {
    gaps += event.gap === true ? 1 : 0;
    if (gaps === rooms) resolve(performance.now());
  };
  await Promise.all(Array.from({ length: rooms }, (_, index) => layer.subscribe(`bench.${index}`, listener)));
  await broker.restart({ empty: true });
  const since = performance.now();
  const subscribed = await promise;
  console.log(`resubscribe ${rooms} rooms: ${Math.round(subscribed - since)} ms after ${broker.url} answered`);
  return (subscribed - since) / 1000;
}
