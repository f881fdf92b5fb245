const PUBLISH_ID = /^[\x21-\x7E]{1,128}$/;

/** Whether it may name a publish, so that making it again publishes nothing: 1 to 128 visible ASCII characters. */
export function isPublishId(id: unknown): id is string {
  return typeof id === 'string' && PUBLISH_ID.test(id);
}
