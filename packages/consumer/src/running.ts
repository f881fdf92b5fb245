import { AsyncLocalStorage } from 'node:async_hooks';
import type { ConsumerLayer } from './context.ts';

/** Whose code runs: handlers of one session. */
export interface Running {
  /** Something that one of its handlers began, and did not wait for, has failed. */
  stray(error: unknown): void;
}

const running = new AsyncLocalStorage<Running | undefined>();

/** Calls a handler: whatever it begins, and whatever that begins, is its own. */
export function runAs<T>(owner: Running, call: () => T): T {
  return running.run(owner, call);
}

/** Calls what is no handler's, from within one. */
export function runOutside<T>(call: () => T): T {
  return running.run(undefined, call);
}

/**
 * For a process's `uncaughtException`, which is told rejections that nobody handles, too: true where a handler's code failed, whose session ends then. Else the
 * error is the process's own.
 */
export function takeStray(error: unknown): boolean {
  const owner = running.getStore();
  if (owner === undefined) return false;
  runOutside(() => owner.stray(error));
  return true;
}

/** The layer as handlers have it: what fails within the layer is never taken for theirs. */
export function layerForHandlers(layer: ConsumerLayer): ConsumerLayer {
  return {
    newChannel: (prefix) => runOutside(() => layer.newChannel(prefix)),
    closeChannel: (channel) => runOutside(() => layer.closeChannel(channel)),
    receive: (channel, options) => runOutside(() => layer.receive(channel, options)),
    send: (channel, message, options) => runOutside(() => layer.send(channel, message, options)),
    groupAdd: (group, channel) => runOutside(() => layer.groupAdd(group, channel)),
    groupDiscard: (group, channel) => runOutside(() => layer.groupDiscard(group, channel)),
    groupSend: (group, message) => runOutside(() => layer.groupSend(group, message)),
    publish: (room, payload, options) => runOutside(() => layer.publish(room, payload, options)),
    subscribe: (room, listener, options) => {
      const own = AsyncLocalStorage.bind(listener);
      return runOutside(() => layer.subscribe(room, own, options));
    },
  };
}
