// A subscriber for Media over QUIC Transport, draft-14 and draft-16, on the browser's own WebTransport: the least that shows a
// track. Every field is read and written where it stands; sections are those of draft-ietf-moq-transport-14 and -16.

const CLIENT_SETUP = 0x20, SERVER_SETUP = 0x21;
const SUBSCRIBE = 0x03, SUBSCRIBE_OK = 0x04, REQUEST_ERROR = 0x05, PUBLISH_DONE = 0x0b;
const MAX_REQUEST_ID = 0x02; // a Setup Parameter (draft-14 §9.3.2, draft-16 §9.3.1)
const DRAFT_14 = 0xff00000e;

/** Bytes to be sent. */
class Writer {
  #bytes = [];

  u8(value) {
    this.#bytes.push(value);
    return this;
  }

  /** A variable-length integer (RFC 9000 §16). */
  varint(value) {
    let number = BigInt(value);
    const [length, prefix] =
      number < 1n << 6n ? [1, 0x00] : number < 1n << 14n ? [2, 0x40] : number < 1n << 30n ? [4, 0x80] : [8, 0xc0];
    const bytes = [];
    for (let i = 0; i < length; i++, number >>= 8n) bytes.unshift(Number(number & 0xffn));
    bytes[0] |= prefix;
    this.#bytes.push(...bytes);
    return this;
  }

  bytes(bytes) {
    for (const byte of bytes) this.#bytes.push(byte);
    return this;
  }

  /** A text behind its length. */
  text(text) {
    const bytes = new TextEncoder().encode(text);
    return this.varint(bytes.length).bytes(bytes);
  }

  /** A control message: type, length in two bytes, body (draft-14 §9, draft-16 §9). */
  static message(type, body) {
    const bytes = body.take();
    return new Writer().varint(type).u8(bytes.length >> 8).u8(bytes.length & 0xff).bytes(bytes).take();
  }

  take() {
    return Uint8Array.from(this.#bytes);
  }
}

/** Bytes of a stream, as they come. */
class Reader {
  #stream;
  #bytes = new Uint8Array();

  constructor(stream) {
    this.#stream = stream.getReader();
  }

  static of(bytes) {
    return new Reader(new ReadableStream({ start: (to) => (to.enqueue(bytes), to.close()) }));
  }

  /** Waits for so many bytes; false at the end of the stream. */
  async #fill(length) {
    while (this.#bytes.length < length) {
      const { value, done } = await this.#stream.read();
      if (done) return false;
      const joined = new Uint8Array(this.#bytes.length + value.length);
      joined.set(this.#bytes);
      joined.set(value, this.#bytes.length);
      this.#bytes = joined;
    }
    return true;
  }

  /** Whether the stream has ended. */
  async ended() {
    return !(await this.#fill(1));
  }

  async bytes(length) {
    if (!(await this.#fill(length))) throw new Error("the stream ends within a field");
    const taken = this.#bytes.slice(0, length);
    this.#bytes = this.#bytes.slice(length);
    return taken;
  }

  async u8() {
    return (await this.bytes(1))[0];
  }

  /** A variable-length integer, as a number: those of a test are small. */
  async varint() {
    const first = await this.u8();
    let value = BigInt(first & 0x3f);
    for (const byte of await this.bytes((1 << (first >> 6)) - 1)) value = (value << 8n) | BigInt(byte);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Error(`${value} is larger than this page counts`);
    return Number(value);
  }

  async text() {
    return new TextDecoder().decode(await this.bytes(await this.varint()));
  }

  /** A control message: its type, and a reader of its body. */
  async message() {
    const type = await this.varint();
    const [high, low] = await this.bytes(2);
    return { type, body: Reader.of(await this.bytes((high << 8) | low)) };
  }
}

/** A session over WebTransport, in the draft that was agreed. */
export class Session {
  #transport;
  #writer;
  #reader;

  /**
   * Connects and exchanges SETUP.
   *
   * `hash`: the SHA-256 of the server's certificate, as hexadecimal digits. `protocols`: the drafts to offer; a session for
   * which none was agreed speaks draft-14.
   */
  static async connect(url, { hash, protocols }) {
    const options = { protocols };
    if (hash) {
      const value = Uint8Array.from(hash.match(/../g), (byte) => parseInt(byte, 16));
      options.serverCertificateHashes = [{ algorithm: "sha-256", value }];
    }
    const transport = new WebTransport(url, options);
    await transport.ready;
    const session = new Session();
    session.#transport = transport;
    session.protocol = transport.protocol ?? "";
    session.draft = session.protocol === "moqt-16" ? 16 : 14;
    await session.#setUp();
    return session;
  }

  /** CLIENT_SETUP and SERVER_SETUP, on the first bidirectional stream (draft-14 §9.3, draft-16 §9.3). */
  async #setUp() {
    const { readable, writable } = await this.#transport.createBidirectionalStream();
    this.#writer = writable.getWriter();
    this.#reader = new Reader(readable);
    const setup = new Writer();
    if (this.draft === 14) setup.varint(1).varint(DRAFT_14); // the versions offered
    setup.varint(1).varint(MAX_REQUEST_ID).varint(100);
    await this.#writer.write(Writer.message(CLIENT_SETUP, setup));

    const { type, body } = await this.#reader.message();
    if (type !== SERVER_SETUP) throw new Error(`message ${type} where SERVER_SETUP was expected`);
    if (this.draft === 14) {
      const version = await body.varint();
      if (version !== DRAFT_14) throw new Error(`the server selected version ${version.toString(16)}`);
    }
  }

  /** Subscribes to a track from its next object on: objects as { group, id, payload }, in the order in which they come. */
  async subscribe(namespace, name, onObject) {
    const subscribe = new Writer().varint(0); // Request ID
    const fields = namespace.split("/");
    subscribe.varint(fields.length);
    for (const field of fields) subscribe.text(field);
    subscribe.text(name);
    if (this.draft === 14) {
      // Priority, group order (the publisher's), forward, filter Largest Object, no parameters (draft-14 §9.7).
      subscribe.u8(128).u8(0).u8(1).varint(2).varint(0);
    } else {
      // FORWARD (0x10), an integer, and SUBSCRIPTION_FILTER (0x21) behind its length; types by difference (draft-16 §9.2.2).
      subscribe.varint(2).varint(0x10).varint(1).varint(0x11).varint(1).varint(2);
    }
    await this.#writer.write(Writer.message(SUBSCRIBE, subscribe));
    const alias = await this.#granted();
    this.#control();
    this.#streams(alias, onObject);
  }

  /** Waits for SUBSCRIBE_OK: the Track Alias, which stands behind the Request ID in both drafts. */
  async #granted() {
    for (;;) {
      const { type, body } = await this.#reader.message();
      if (type === SUBSCRIBE_OK) {
        await body.varint();
        return body.varint();
      }
      if (type === REQUEST_ERROR) {
        await body.varint();
        const code = await body.varint();
        if (this.draft === 16) await body.varint(); // Retry Interval
        throw new Error(`the subscription was declined with ${code}: ${await body.text()}`);
      }
    }
  }

  /** Reads the control stream on, so that it never fills up. */
  async #control() {
    for (;;) {
      const { type } = await this.#reader.message();
      if (type === PUBLISH_DONE) this.done = true;
    }
  }

  async #streams(alias, onObject) {
    const incoming = this.#transport.incomingUnidirectionalStreams.getReader();
    for (;;) {
      const { value, done } = await incoming.read();
      if (done) return;
      this.#subgroup(new Reader(value), alias, onObject);
    }
  }

  /** A subgroup stream (draft-14 §10.4.2, draft-16 §10.4.2). The bits of its type are the same in both drafts. */
  async #subgroup(reader, alias, onObject) {
    const type = await reader.varint();
    if (!(type & 0x10) || type >= 0x40) throw new Error(`stream type ${type} is no subgroup`);
    if ((await reader.varint()) !== alias) throw new Error("a stream of a track that nobody subscribed to");
    const group = await reader.varint();
    if ((type & 0x06) === 0x04) await reader.varint(); // Subgroup ID
    if (!(type & 0x20)) await reader.u8(); // Publisher Priority
    for (let previous = -1; !(await reader.ended()); ) {
      const id = previous + 1 + (await reader.varint());
      if (type & 0x01) await reader.bytes(await reader.varint()); // Extension Headers
      const length = await reader.varint();
      if (length === 0) await reader.varint(); // Object Status
      const payload = await reader.bytes(length);
      if (length > 0) onObject({ group, id, payload: new TextDecoder().decode(payload) });
      previous = id;
    }
  }

  close() {
    this.#transport.close({ closeCode: 0, reason: "" });
  }
}
