#!/usr/bin/env node
// orders.js ENDPOINT publish|consume QUEUE COUNT: publishes COUNT orders to a Yam relay until all are confirmed, or
// prints and acknowledges as many. Written from patterns/relay/SPEC.md alone; the numbers below are its sections.
const crypto = require("crypto"), zmq = require("zeromq"), msgpack = require("@msgpack/msgpack");
const [HELLO, WELCOME, ATTACH, ATTACHED, DETACH, DETACHED, CONFIRM, REFUSE, CREDIT, DELIVER, ACK, NACK, EXTEND, REJECT,
  RELEASE, ACKED, HEARTBEAT, ADMIN, REPLY, ERROR, GOODBYE] = Array.from({length: 21}, (_, index) => index + 1); // 5.2
const LATER = [1, 3, 6, 14], STORAGE_FAILED = 7, GAP = 8; // 11.1
const shift = crc => crc >>> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
const TABLE = Array.from({length: 256}, (_, byte) => Array(8).fill().reduce(shift, byte));
const crc32c = data => ~data.reduce((crc, byte) => crc >>> 8 ^ TABLE[(crc ^ byte) & 255], -1) >>> 0; // 1.4
const u32 = (...values) => Buffer.from(Uint32Array.from(values).buffer); // little-endian, where node runs
function control(code, handle, fields = {}) { // 5
  const map = msgpack.encode(fields, {useBigInt64: true});
  return Buffer.concat([u32(0x4C4D4159, 1 | code << 8, handle, map.length), map]);
}
function batch(handle, producer, epoch, first, orders) { // 3; 4 << 24: usual priority, no properties, no flags
  const payload = Buffer.concat(orders.flatMap(order => [u32(order.length, 4 << 24, 0), Buffer.from(order)]));
  const head = Buffer.concat([u32(0x424D4159, 1, payload.length, orders.length, handle, epoch), producer,
    u32(first, first / 2 ** 32, crc32c(payload))]);
  return Buffer.concat([head, u32(crc32c(head)), payload]);
}
function* bodies(frame, first) { // 3.2: of messages with ascending sequences from first on
  for (let at = 56; at < frame.length;) {
    const size = frame.readUInt32LE(at), flags = frame[at + 6];
    at += 12 + 8 * (flags & 1) + 8 * (flags >> 1 & 1) + frame.readUInt16LE(at + 4) + size;
    yield [first++, frame.subarray(at - size, at)];
  }
}

async function receive(socket, wanted) { // 6: the next frame, or the next of that type; heartbeats until it comes
  let parts, idle = 0;
  while (!(parts = await socket.receive().catch(() => null))) { // nothing within receiveTimeout
    if ((idle += 200) > socket.sendTimeout) throw new Error("silence");
    await socket.send(control(HEARTBEAT, 0));
  }
  const [head, frame] = parts, code = head[5]; // a token needs all of its 64 bits
  const fields = msgpack.decode(head.subarray(16), {useBigInt64: code === DELIVER}), {status = 0} = fields;
  if (code === ERROR || code === GOODBYE || status === STORAGE_FAILED || code === DETACHED && LATER.includes(status))
    throw new Error(`relay: ${fields.text ?? status}`); // the session is over
  if ((code === REFUSE || code === DETACHED) && ![0, GAP, ...LATER].includes(status))
    process.exit(console.error(`orders.js: ${fields.text ?? status}`) ?? 1);
  return wanted && code !== wanted ? receive(socket, wanted) : {code, fields, frame};
}
async function attach(socket, fields) {
  const session = crypto.randomBytes(8).readBigUInt64LE() | 1n;
  await socket.send(control(HELLO, 0, {session, name: "orders.js", "max-frame": 20971520, "heartbeat-ms": 1000}));
  socket.sendTimeout = 3 * (await receive(socket, WELCOME)).fields["heartbeat-ms"];
  await socket.send(control(ATTACH, 1, {kind: 1, ...fields}));
  return (await receive(socket, ATTACHED)).fields;
}

const mine = {producer: crypto.randomBytes(16), epoch: 0, first: 1}, seen = new Set(); // kept over sessions
async function publish(socket, channel, count) { // 7
  let credit = await attach(socket, {role: 1, channel, ...mine}), messages = 0, bytes = 0, pause = 50, resume = 0;
  [mine.epoch, mine.first] = [credit.epoch, Math.max(mine.first, credit.sequence + 1)];
  for (let next = mine.first; mine.first <= count;) {
    const n = Math.min(100, count + 1 - next, credit.messages - messages, Math.floor((credit.bytes - bytes) / 100));
    if (n > 0 && Date.now() >= resume) {
      const orders = Array.from({length: n}, (_, index) => JSON.stringify({order: next + index}));
      const frame = batch(1, mine.producer, mine.epoch, next, orders);
      await socket.send(frame);
      [next, messages, bytes] = [next + n, messages + n, bytes + frame.length];
    }
    const {code, fields} = await receive(socket);
    if (code === CREDIT) credit = fields;
    else if (code === CONFIRM) [mine.first, pause] = [fields.sequence + 1, 50];
    else if (code === REFUSE || code === HEARTBEAT && next > mine.first) // or no answer comes: again
      [next, resume, pause] = [mine.first, Date.now() + pause, Math.min(2 * pause, 4000)];
  }
}
async function consume(socket, channel, count) { // 8
  await attach(socket, {role: 2, channel});
  for (let got = 0, bytes = 0, serial = 0, acked = 0; seen.size < count || acked < serial;) {
    await socket.send(control(CREDIT, 1, {messages: got + Math.min(1000, count - seen.size), bytes: bytes + 2 ** 23}));
    const {code, fields, frame} = await receive(socket);
    if (code === ACKED) acked = fields.serial;
    if (code !== DELIVER) continue;
    const {token} = fields, [first, last, base] = [fields.first, fields.last, fields.base].map(Number);
    for (const [sequence, body] of bodies(frame, base))
      if (first <= sequence && sequence <= last && !seen.has(sequence) && seen.add(sequence)) console.log(`${body}`);
    await socket.send(control(ACK, 1, {serial: ++serial, ranges: [token, first, last]}));
    [got, bytes] = [got + last - first + 1, bytes + frame.length];
  }
}

const [endpoint, command, queue, count] = process.argv.slice(2), work = {publish, consume}[command];
(async function session() {
  const socket = new zmq.Dealer({receiveTimeout: 200, sendTimeout: 3000, linger: 1000});
  socket.connect(endpoint); // a new one each time, so that nothing of an older session comes in
  try {
    await work(socket, queue, Number(count));
    await socket.send(control(DETACH, 1));
    await receive(socket, DETACHED);
    await socket.send(control(GOODBYE, 0));
  } catch (error) {
    console.error(`orders.js begins anew: ${error.message}`);
    setTimeout(session, 250);
  }
  socket.close();
})();
