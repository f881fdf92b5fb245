import type { Driver, DriverContext } from '../driver/driver.ts';
import { LayerError } from '../errors.ts';
import { Bus } from './bus.ts';
import { MemoryDriver } from './driver.ts';

/** This process's buses that are open: as on any broker, layers that name the same one and the same prefix meet there. */
const open = new Map<string, { readonly bus: Bus; users: number }>();

/** `memory:` is the bus of this process; `memory:<name>` another one, apart from it. A bus is forgotten when its last layer closes. */
export function createDriver(url: string, context: DriverContext): Driver {
  const match = /^memory:([A-Za-z0-9_-]*)$/.exec(url);
  if (match === null) {
    throw new LayerError('INVALID_URL', 'the memory layer is memory: or memory:<name>, with letters, digits, _ and - in the name');
  }
  const key = `${match[1]} ${context.options.prefix}`;
  const entry = open.get(key) ?? { bus: new Bus(), users: 0 };
  open.set(key, entry);
  entry.users += 1;
  return new MemoryDriver(entry.bus, context, () => {
    entry.users -= 1;
    if (entry.users > 0) return;
    entry.bus.close();
    open.delete(key);
  });
}
