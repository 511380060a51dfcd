// describe.mjs FILE writes the description of the admin API, from which the
// types are made. It asks the Bursar at BURSAR_ADMIN_URL, or one that it starts
// itself (BURSAR_BIN, default: bin/bursar of this repository), which needs no
// database to describe itself and is kept from asking anybody else.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const patience = 60_000;
const nobody = '127.0.0.1:1'; // a port that refuses

// start runs a Bursar until use has returned, which gets its admin port.
async function start(use) {
  const program = process.env.BURSAR_BIN ?? fileURLToPath(new URL('../../../bin/bursar', import.meta.url));
  const dir = await mkdtemp(join(tmpdir(), 'bursar-describe-'));
  const env = {
    PATH: process.env.PATH,
    HOME: dir,
    BURSAR_DATA_DIR: dir,
    BURSAR_PROXY_ADDR: '127.0.0.1:0',
    BURSAR_ADMIN_ADDR: '127.0.0.1:0',
    BURSAR_UPSTREAM_URL: `http://${nobody}`,
    DATABASE_URL: `postgres://${nobody}/none`,
  };
  const bursar = spawn(program, ['serve'], { cwd: dir, env, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(bursar, 'exit');
  const timer = setTimeout(() => bursar.kill('SIGKILL'), patience);
  try {
    return await use(await adminPort(bursar.stderr));
  } finally {
    clearTimeout(timer);
    bursar.kill('SIGTERM');
    await ended;
    await rm(dir, { recursive: true, force: true });
  }
}

// adminPort reads the log until it names the admin port.
async function adminPort(log) {
  const said = [];
  for await (const line of createInterface({ input: log })) {
    const found = /admin port:\s*(http:[^\s"]+)/.exec(line);
    if (found) {
      log.resume(); // or the program would wait for a reader
      return found[1];
    }
    said.push(line);
  }
  throw new Error(`Bursar ended before it served:\n${said.join('\n')}`);
}

async function description(admin) {
  const response = await fetch(new URL('/openapi.json', admin));
  if (!response.ok) throw new Error(`GET ${response.url}: ${response.status}`);
  return withoutExamples(await response.json());
}

// withoutExamples leaves out what would be most of the types' comments.
function withoutExamples(node) {
  if (Array.isArray(node)) return node.map(withoutExamples);
  if (node === null || typeof node !== 'object') return node;
  const kept = Object.entries(node).filter(
    ([name, value]) => name !== 'example' && !(name === 'examples' && Array.isArray(value)),
  );
  return Object.fromEntries(kept.map(([name, value]) => [name, withoutExamples(value)]));
}

const admin = process.env.BURSAR_ADMIN_URL;
const document = admin ? await description(admin) : await start(description);
await writeFile(process.argv[2], `${JSON.stringify(document, null, 2)}\n`);
