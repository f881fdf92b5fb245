import { connect, type Message } from '@busgate/client';
import { onScopeDispose, type Ref, shallowRef } from 'vue';

const bus = connect('/socket');
const KEPT = 100;

/** The newest messages of a room, the oldest first. It is joined as long as the component lives. */
export function useRoom<T>(name: string): Readonly<Ref<readonly Message<T>[]>> {
  const messages = shallowRef<readonly Message<T>[]>([]);
  const room = bus.join<T>(name, { last: KEPT });
  room.on('message', (message) => {
    messages.value = [...messages.value, message].slice(-KEPT);
  });
  onScopeDispose(() => room.leave());
  return messages;
}
