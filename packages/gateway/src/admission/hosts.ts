import { isIP } from 'node:net';

/** The name or address of a `Host`, without its port. */
export function nameOf(host: string): string {
  return host.toLowerCase().replace(/:\d*$/, '');
}

/** Whether it means this machine for everybody (RFC 6761 section 6.3); an IPv6 address with its brackets or without. */
export function isLoopback(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost') || (isIP(name) === 4 && name.startsWith('127.')) || name === '[::1]' || name === '::1';
}

/** Whether it is no name that somebody's DNS could make mean another machine. */
export function isAddress(name: string): boolean {
  return isIP(name.replace(/^\[(.*)\]$/, '$1')) > 0;
}

/**
 * Which hosts a demo answers to. It is open to everybody who reaches it, so a page in the browser beside it must not reach it by a name of its own that its DNS
 * makes mean this machine: loopback names alone; and, where it was told to listen elsewhere, addresses and the name that it listens on.
 */
export function demoHosts(listensOn: string): (host: string) => boolean {
  const own = listensOn.includes(':') ? `[${listensOn.toLowerCase()}]` : listensOn.toLowerCase();
  return (host) => {
    const name = nameOf(host);
    return isLoopback(name) || (!isLoopback(own) && (name === own || isAddress(name)));
  };
}
