import type { Answer } from '../answer.ts';

/** A request of the operator's API whose key was right, as it travels to whoever answers it: also from one process to another. */
export interface OpsCall {
  readonly method: string;
  /** As it was sent, escapes and all. */
  readonly path: string;
  readonly query: string;
  readonly body: Uint8Array;
  /** The header, of the trace that the operator wants followed. */
  readonly traceparent: string | undefined;
}

/** Who reads an answer that goes on. */
export interface OpsReader {
  /** False where it is behind: what is written then is lost. Never waits; `taken` is called when the kernel has it. */
  write(text: string, taken?: () => void): boolean;
  end(): void;
}

/** An answer that goes on until either side ends it. */
export interface OpsStream {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Begins to write; called once. What it returns is called once when the reader has gone, also by its own end. */
  begin(reader: OpsReader): () => void;
  readonly body?: never;
}

export type OpsReply = Answer | OpsStream;

/** Whoever answers the operator. Never rejects. */
export interface OpsApi {
  answer(call: OpsCall): Promise<OpsReply>;
}
