/** One end of a connection. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}
