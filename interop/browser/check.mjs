// A real browser against our relay: node check.mjs MOQT CHROMIUM FOLDER. One line a case on stdout, exit 1 if any failed;
// pictures and logs go to FOLDER.
//
// The browser opens index.html, which connects over WebTransport, trusts the relay's development certificate by its hash,
// offers a draft (or none, which means draft-14), subscribes and shows what comes. The publisher is on raw QUIC in the other
// draft, so that the relay bridges. 100 objects come, each the time at which it was written.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

import { chromium } from "playwright-core";

const [moqt, browser, folder] = process.argv.slice(2);
const OBJECTS = 100;
const PATIENCE = 60_000;
const CASES = [
  { name: "draft-16 by protocols", protocols: ["moqt-16"], protocol: "moqt-16", draft: "draft-16", publisher: "14" },
  { name: "draft-14 without protocols", protocols: [], protocol: "none", draft: "draft-14", publisher: "16" },
  {
    name: "the newest of two protocols",
    protocols: ["moq-00", "moqt-16"],
    protocol: "moqt-16",
    draft: "draft-16",
    publisher: "16",
  },
];

const started = [];

/** Starts a program whose end is the end of this one's. */
function start(args) {
  const log = openSync(join(folder, `${started.length}-moqt-${args[0]}.log`), "w");
  const child = spawn(moqt, args, { stdio: ["pipe", "pipe", log] });
  started.push(child);
  return child;
}

/** A relay on a free port: its address and the hash of its certificate. */
async function relay() {
  const child = start(["relay", "--bind", "127.0.0.1:0"]);
  for await (const line of createInterface({ input: child.stdout })) {
    const [, address, , hash] = line.split(" ");
    return { address, hash };
  }
  throw new Error("the relay does not listen");
}

/** The page's files, on loopback: browsers have WebTransport only there and over https. */
async function pages() {
  const types = { "index.html": "text/html", "moqt.js": "text/javascript" };
  const server = createServer((request, response) => {
    const name = new URL(request.url, "http://localhost").pathname.slice(1) || "index.html";
    if (!(name in types)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": types[name] }).end(readFileSync(join(import.meta.dirname, name)));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  server.unref();
  return `http://127.0.0.1:${server.address().port}/`;
}

/** Publishes the time again and again; what was published, once the publisher has ended. */
async function publish(address, hash, track, draft) {
  const args = ["pub", `moqt://${address}`, "browser", track, "--pin", hash, "--draft", draft, "--group-size", "25"];
  const child = start(args);
  const ended = new Promise((end) => child.once("exit", end));
  const lines = [];
  for (let number = 0; number < OBJECTS; number++) {
    lines.push(`${new Date().toISOString().slice(11, 23)} #${number}`);
    child.stdin.write(`${lines.at(-1)}\n`);
    await sleep(10);
  }
  child.stdin.end();
  assert.equal(await ended, 0, "the publisher failed");
  return lines;
}

async function check(page, base, { address, hash }, { name, protocols, protocol, draft, publisher }, number) {
  const track = `clock-${number}`;
  const published = publish(address, hash, track, publisher);
  published.catch(() => {}); // it is awaited below
  const query = new URLSearchParams({
    url: `https://${address}/`,
    hash,
    protocols: protocols.join(","),
    namespace: "browser",
    track,
    count: OBJECTS,
  });
  try {
    await page.goto(`${base}?${query}`);
    await page.waitForSelector("body[data-state=done], body[data-state=failed]", { timeout: PATIENCE });
    const text = (id) => page.textContent(`#${id}`);
    assert.equal(await page.getAttribute("body", "data-state"), "done", await text("state"));
    assert.equal(await text("count"), String(OBJECTS), "the page's own count");
    assert.equal(await text("protocol"), protocol);
    assert.equal(await text("draft"), draft);
    const shown = await page.$$eval("#objects li", (items) => items.map((item) => item.lastChild.textContent));
    // Groups travel on streams of their own: only within a group is the order given.
    assert.deepEqual(shown.sort(), (await published).sort(), "what is shown is what was published");
  } finally {
    await page.screenshot({ path: join(folder, `${name.replaceAll(" ", "-")}.png`), fullPage: true });
  }
  return `${OBJECTS}/${OBJECTS} objects, wt-protocol ${protocol}`;
}

mkdirSync(folder, { recursive: true });
const base = await pages();
const server = await relay();
// As root Chromium needs --no-sandbox; the others keep it from looking for hosts on the Internet.
const instance = await chromium.launch({
  executablePath: browser,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
let failed = 0;
try {
  for (const [number, one] of CASES.entries()) {
    const page = await instance.newPage();
    const log = [];
    page.on("console", (message) => log.push(message.text()));
    try {
      console.log(`ok - browser, ${one.name}: ${await check(page, base, server, one, number)}`);
    } catch (error) {
      failed += 1;
      console.log(`not ok - browser, ${one.name}: ${error.message.split("\n")[0]}`);
    }
    writeFileSync(join(folder, `${number}-console.log`), log.join("\n"));
    await page.close();
  }
} finally {
  await instance.close();
  for (const child of started) child.kill();
}
console.log(`${CASES.length - failed} passed, ${failed} failed, with ${instance.version()}`);
process.exit(failed === 0 ? 0 : 1);
