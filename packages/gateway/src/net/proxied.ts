import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { Addresses, plainAddress } from './addresses.ts';
import { setPeer } from './clients.ts';
import { readProxyHeader } from './proxy-protocol.ts';

export interface ProxiedOptions {
  /** As the setting `trusted_proxies` has it. */
  readonly trusted: readonly string[];
  /** Milliseconds in which the header must be there. */
  readonly patience: number;
  /** What comes next on the connection is the client's. */
  readonly serve: (socket: Socket) => void;
  /** What came is no such header, or it came too late. */
  readonly refuse: (socket: Socket, why: 'bad_request' | 'timeout') => void;
}

/** Connections that begin with the PROXY protocol where a trusted proxy has made them, and with nothing but the client's bytes where somebody else has. */
export class ProxiedConnections {
  readonly #options: ProxiedOptions;
  readonly #trusted: Addresses;
  /** Those whose header is not whole. */
  readonly #waiting = new Set<Socket>();

  constructor(options: ProxiedOptions) {
    this.#options = options;
    this.#trusted = new Addresses(options.trusted);
  }

  /** A header of somebody who is not trusted is no HTTP, and refused as such. */
  take(socket: Socket): void {
    if (this.#trusted.has(plainAddress(socket.remoteAddress ?? ''))) this.#read(socket);
    else this.#options.serve(socket);
  }

  /** Ends those that have not begun. */
  close(): void {
    for (const socket of this.#waiting) socket.destroy();
  }

  #read(socket: Socket): void {
    const { serve, refuse, patience } = this.#options;
    let bytes = Buffer.alloc(0);
    const stop = (): void => {
      clearTimeout(timer);
      this.#waiting.delete(socket);
      socket.off('data', look).off('end', leave).off('error', leave).off('close', stop);
    };
    const end = (why: 'bad_request' | 'timeout'): void => {
      stop();
      refuse(socket, why);
    };
    const leave = (): void => void socket.destroy();
    const look = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      const header = readProxyHeader(bytes);
      if (header === 'more') return;
      if (header === 'bad') return end('bad_request');
      stop();
      if (header.from !== undefined) setPeer(socket, header.from);
      socket.pause();
      if (header.length < bytes.length) socket.unshift(bytes.subarray(header.length));
      serve(socket);
      socket.resume();
    };
    const timer = setTimeout(end, patience, 'timeout');
    this.#waiting.add(socket);
    socket.on('data', look).on('end', leave).on('error', leave).on('close', stop);
  }
}
