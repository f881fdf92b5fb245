/** As much of a browser's page as is listened to; other runtimes have some of it, or nothing. */
interface Surroundings extends Partial<Pick<EventTarget, 'addEventListener'>> {
  readonly document?: EventTarget & { readonly visibilityState: string };
}

/**
 * Listens to what a page goes through, until the signal. `wake`: the network may be back, or gone, or the page is looked at again; `suspend`: it is put away, for
 * good or into the back/forward cache, where a connection would keep it out.
 */
export function watchPage(wake: () => void, suspend: () => void, signal: AbortSignal): void {
  const page = globalThis as Surroundings;
  for (const type of ['online', 'offline', 'pageshow']) page.addEventListener?.(type, wake, { signal });
  page.addEventListener?.('pagehide', suspend, { signal });
  page.document?.addEventListener('visibilitychange', () => page.document?.visibilityState === 'visible' && wake(), { signal });
}
