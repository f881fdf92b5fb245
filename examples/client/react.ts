import { connect, type Message } from '@busgate/client';
import { useMemo, useSyncExternalStore } from 'react';

const bus = connect('/socket');
const KEPT = 100;

/** The newest messages of a room, the oldest first. It is joined while a component shows it. */
export function useRoom<T>(name: string): readonly Message<T>[] {
  const store = useMemo(() => {
    let messages: readonly Message<T>[] = [];
    const subscribe = (changed: () => void): (() => void) => {
      messages = [];
      const room = bus.join<T>(name, { last: KEPT });
      room.on('message', (message) => {
        messages = [...messages, message].slice(-KEPT);
        changed();
      });
      return () => room.leave();
    };
    return { subscribe, read: () => messages };
  }, [name]);
  return useSyncExternalStore(store.subscribe, store.read, store.read);
}
