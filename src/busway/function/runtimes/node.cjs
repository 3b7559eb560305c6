// Our client of the Lambda Runtime API for Node.js handlers. Runs in the worker; no dependencies.
//
//     node node.cjs CHANNEL_FD
//
// Speaks HTTP/1.1 over the socket that it is given, by hand: the answer to one event and the request for the next
// leave in one write. What a handler sees (context, errors, log lines, when a callback's answer leaves) is as in AWS's
// runtime, which does the same over TCP: https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html
"use strict";

const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { format } = require("node:util");

const API = "/2018-06-01/runtime/";
const NEXT = `GET ${API}invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n`;
// AWS's exit statuses after an exception, and after a rejected promise, that nobody caught.
const UNCAUGHT = 129;
const UNHANDLED = 128;
// Ours: how long to wait before printing is tried again, when the server did not read yet.
const FULL_PIPE_MS = 1;

const environment = process.env;
const waiter = new Int32Array(new SharedArrayBuffer(4));

// --- printing: AWS's text format ---

let requestId;

function print(text) {
  let data = Buffer.from(text);
  while (data.length > 0) {
    try {
      data = data.subarray(fs.writeSync(1, data));
    } catch (error) {
      if (error.code !== "EAGAIN") return;
      Atomics.wait(waiter, 0, 0, FULL_PIPE_MS);
    }
  }
}

function logAs(level) {
  return (...parts) => print(`${new Date().toISOString()}\t${requestId}\t${level}\t${format(...parts)}\n`);
}

const LEVELS = { log: "INFO", trace: "TRACE", debug: "DEBUG", info: "INFO", warn: "WARN", error: "ERROR", fatal: "FATAL" };
for (const [name, level] of Object.entries(LEVELS)) console[name] = logAs(level);

// --- errors ---

class RuntimeFault extends Error {
  constructor(kind, message, stack) {
    super(message);
    Object.defineProperty(this, "name", { value: `Runtime.${kind}` });
    this.stack = stack ?? `${this}`;
  }
}

const clean = (text) => text.replaceAll("\x7f", "%7F");

/** The stack's lines above those of this file: what the handler did. */
function linesOf(stack) {
  const lines = clean(stack).split("\n");
  const ours = lines.findIndex((line) => line.includes(__filename));
  return ours < 0 ? lines : lines.slice(0, ours);
}

/** The error object that is reported, in the shape of AWS's Node.js runtime. */
function shapeOf(error) {
  try {
    // An error of another realm (vm) is one too.
    if (error instanceof Error || Object.prototype.toString.call(error) === "[object Error]") {
      const trace = typeof error.stack === "string" ? linesOf(error.stack) : [];
      return { errorType: clean(String(error.name)), errorMessage: clean(String(error.message)), trace };
    }
    return { errorType: typeof error, errorMessage: clean(String(error)), trace: [] };
  } catch {
    const problem = "there was a problem while retrieving one or more of its message, name, and stack";
    return { errorType: "handled", errorMessage: `callback called with Error argument, but ${problem}`, trace: [] };
  }
}

function printError(what, error) {
  const thrown = error instanceof Error ? error : new Error(String(error));
  const { errorType, errorMessage, trace } = shapeOf(thrown);
  let text;
  try {
    text = JSON.stringify({ errorType, errorMessage, code: thrown.code, ...thrown, stack: trace });
  } catch {
    text = JSON.stringify({ errorType, errorMessage, stack: trace });
  }
  console.error(what, `\t${text}`);
}

// --- the channel ---

const socket = new net.Socket({ fd: Number(process.argv[2]) });
let unread = Buffer.alloc(0);
let parts = null;
let missing = 0;

function post(where, body, kind) {
  const about = kind ? `Lambda-Runtime-Function-Error-Type: ${oneLine(kind)}\r\n` : "";
  const size = Buffer.byteLength(body);
  return `POST ${API}${where} HTTP/1.1\r\nHost: runtime\r\n${about}Content-Length: ${size}\r\n\r\n${body}`;
}

const oneLine = (text) => text.replace(/[^\x20-\x7e]/g, "?");

socket.on("data", (data) => {
  if (parts !== null) {
    parts.push(data);
    missing -= data.length;
    if (missing > 0) return;
    data = Buffer.concat(parts);
    parts = null;
  } else if (unread.length > 0) {
    data = Buffer.concat([unread, data]);
  }
  unread = data;
  while (readResponse());
});
socket.on("close", () => process.exit(0));
socket.on("error", () => process.exit(0));

/** Take one response off `unread`; false when it is not whole yet. */
function readResponse() {
  const end = unread.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const head = unread.latin1Slice(0, end);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head);
  const start = end + 4;
  const stop = start + (length === null ? 0 : Number(length[1]));
  if (unread.length < stop) {
    // A large event comes in many pieces: they are put together once.
    parts = [unread];
    missing = stop - unread.length;
    return false;
  }
  const body = unread;
  unread = unread.subarray(stop);
  if (head.includes("-Request-Id: ")) invoke(headersOf(head), body.utf8Slice(start, stop));
  else if (afterReply !== null) afterReply();
  return unread.length > 0;
}

function headersOf(head) {
  const headers = {};
  for (const line of head.split("\r\n")) {
    const colon = line.indexOf(":");
    if (line.startsWith("Lambda-Runtime-")) headers[line.slice(15, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return headers;
}

// --- one invocation after the other ---

let handler;
// Answers the invocation under way; null while there is none.
let current = null;
// What to do when nothing is left to run; AWS answers then if the handler itself did not.
let whenEmpty = null;
// What to do when the server took note of a last error.
let afterReply = null;

/** Answer and ask for the next event, once. */
class Invocation {
  constructor(id) {
    this.id = id;
    this.waits = true;
    this.done = false;
  }

  succeed(result) {
    let body;
    try {
      body = JSON.stringify(result === undefined ? null : result) ?? "null";
    } catch {
      this.fail(new RuntimeFault("JSONStringifyError", "Unable to stringify response body"));
      return;
    }
    this.answer(post(`invocation/${this.id}/response`, body));
  }

  fail(error) {
    const given = error ?? "handled";
    if (!this.done) printError("Invoke Error", given);
    this.answer(this.errorPost(given));
  }

  errorPost(error) {
    const shape = shapeOf(error);
    return post(`invocation/${this.id}/error`, JSON.stringify(shape), shape.errorType);
  }

  answer(request) {
    if (this.done) {
      console.error("Invocation has already been reported as done. Cannot call complete more than once per invocation.");
      return;
    }
    this.done = true;
    current = whenEmpty = null;
    // From here on the process lives for the socket again.
    socket.ref();
    socket.write(request + NEXT);
  }

  /** The handler's third argument: the answer leaves when nothing is left to run, unless told otherwise. */
  callback(error, result) {
    whenEmpty = null;
    if (error !== undefined && error !== null) this.fail(error);
    else if (this.waits) whenEmpty = () => this.succeed(result);
    else this.succeed(result);
  }
}

function contextOf(invocation, headers) {
  const deadline = Number(headers["deadline-ms"]);
  const parsed = (name) => (headers[name] ? JSON.parse(headers[name]) : undefined);
  const done = (error, result) => {
    whenEmpty = null;
    if (error !== undefined && error !== null) invocation.fail(error);
    else invocation.succeed(result);
  };
  return {
    get callbackWaitsForEmptyEventLoop() {
      return invocation.waits;
    },
    set callbackWaitsForEmptyEventLoop(value) {
      invocation.waits = value;
    },
    succeed: (result) => done(null, result),
    fail: (error) => done(error ?? "handled"),
    done,
    functionVersion: environment.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: environment.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: environment.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: environment.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: environment.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parsed("client-context"),
    identity: parsed("cognito-identity"),
    invokedFunctionArn: headers["invoked-function-arn"],
    awsRequestId: invocation.id,
    tenantId: headers["aws-tenant-id"],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

function invoke(headers, body) {
  const id = headers["aws-request-id"];
  const invocation = new Invocation(id);
  requestId = id;
  current = invocation;
  const trace = headers["trace-id"];
  if (trace) environment._X_AMZN_TRACE_ID = trace;
  else delete environment._X_AMZN_TRACE_ID;
  // The socket alone keeps nothing running while the handler runs: "nothing left to run" must be seen.
  socket.unref();
  whenEmpty = () => invocation.succeed(null);
  try {
    const context = contextOf(invocation, headers);
    const result = handler(JSON.parse(body), context, (error, value) => invocation.callback(error, value));
    if (typeof result?.then === "function") result.then(context.succeed, context.fail).catch(context.fail);
  } catch (error) {
    invocation.callback(error);
  }
}

process.on("beforeExit", () => {
  // Nothing runs and nothing answered: as on AWS, the answer is what the callback was given, or null.
  if (whenEmpty !== null) whenEmpty();
});

/** Report the error, to the invocation under way if there is one, and end the process once it is sent. */
function die(what, error, status) {
  printError(what, error);
  const shape = shapeOf(error);
  const where = handler === undefined ? "init/error" : current && `invocation/${current.id}/error`;
  if (!where || afterReply !== null) process.exit(status);
  if (current !== null) current.done = true;
  current = whenEmpty = null;
  afterReply = () => process.exit(status);
  socket.ref();
  socket.write(post(where, JSON.stringify(shape), shape.errorType));
}

process.on("uncaughtException", (error) => die("Uncaught Exception", error, UNCAUGHT));
process.on("unhandledRejection", (reason) => {
  const error = reason instanceof Error ? reason : new Error(String(reason));
  const stack = `Runtime.UnhandledPromiseRejection: ${error.stack}`;
  die("Unhandled Promise Rejection", new RuntimeFault("UnhandledPromiseRejection", String(reason), stack), UNHANDLED);
});

// --- loading the handler ---

// Where the handler lies: the task root, or what was built from it.
const root = environment.BUSWAY_ENTRY || environment.LAMBDA_TASK_ROOT;
const BUNDLE = "bundle-";

/** The exports of the module that a handler's name begins with: as a file of the task root, or as Node finds it. */
async function load(folder, name) {
  const file = path.resolve(root, folder, name);
  const isFile = (name) => fs.statSync(name, { throwIfNoEntry: false })?.isFile();
  if (isFile(file)) return require(file);
  if (isFile(`${file}.js`)) {
    return isModule(path.dirname(file)) ? import(`${file}.js`) : require(`${file}.js`);
  }
  if (isFile(`${file}.mjs`)) return import(`${file}.mjs`);
  if (isFile(`${file}.cjs`)) return require(`${file}.cjs`);
  return require(require.resolve(name, { paths: [root, path.join(root, folder)] }));
}

/** Whether a .js file of this folder is an ES module, by the nearest package.json. */
function isModule(folder) {
  for (;;) {
    const file = path.join(folder, "package.json");
    if (fs.existsSync(file)) {
      try {
        return JSON.parse(fs.readFileSync(file, "utf8"))?.type === "module";
      } catch (error) {
        console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
        return false;
      }
    }
    const above = path.dirname(folder);
    if (above === folder) return false;
    folder = above;
  }
}

async function findHandler(name) {
  if (name.includes("..")) {
    const wanted = "Use absolute paths when specifying root directories in handler names.";
    throw new RuntimeFault("MalformedHandlerName", `'${name}' is not a valid handler name. ${wanted}`);
  }
  const base = path.basename(name);
  const split = /^([^.]*)\.(.+)$/.exec(base);
  if (split === null) throw new RuntimeFault("MalformedHandlerName", "Bad handler");
  let loaded;
  try {
    loaded = await load(name.slice(0, name.length - base.length), split[1]);
  } catch (error) {
    if (error instanceof SyntaxError) throw new RuntimeFault("UserCodeSyntaxError", String(error), error.stack);
    if (error?.code === "MODULE_NOT_FOUND" || error?.code === "ERR_MODULE_NOT_FOUND") {
      throw new RuntimeFault("ImportModuleError", String(error), error.stack);
    }
    throw error;
  }
  const find = (from) => split[2].split(".").reduce((found, key) => found?.[key], from);
  const found = find(loaded) ?? find(loaded?.default);
  if (!found) throw new RuntimeFault("HandlerNotFound", `${name} is undefined or not exported`);
  if (typeof found !== "function") throw new RuntimeFault("HandlerNotFound", `${name} is not a function`);
  const version = /nodejs(\d+)/.exec(environment.AWS_EXECUTION_ENV ?? "");
  if (version !== null && Number(version[1]) >= 24 && found.length >= 3) {
    // As on AWS: https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html#nodejs-handler-callback
    const advice = "Write the handler as an async function, or use runtime nodejs22.x.";
    throw new RuntimeFault("CallbackHandlerDeprecated", `Handlers with a callback ended with Node.js 22. ${advice}`);
  }
  return found;
}

// Response streaming is not built; who asks for it is told so instead of "awslambda is not defined".
globalThis.awslambda = {
  streamifyResponse() {
    throw new RuntimeFault("InvalidStreamingOperation", "Response streaming is not built yet in Busway");
  },
};

/** What bundled CommonJS packages expect and ES modules have not; global, so that the handler's own names win. */
function prepareBundle() {
  process.setSourceMapsEnabled(true);
  const file = path.join(root, "bundle.mjs");
  Object.assign(globalThis, { require: require("node:module").createRequire(file), __filename: file, __dirname: root });
}

async function main() {
  if (path.basename(root).startsWith(BUNDLE)) prepareBundle();
  // While the module loads, too, "nothing left to run" must be seen.
  socket.unref();
  whenEmpty = () => die("Init Error", new RuntimeFault("InitError", "Waits for something that never comes"), 1);
  try {
    handler = await findHandler(environment._HANDLER);
  } catch (error) {
    die("Uncaught Exception", error, 1);
    return;
  }
  whenEmpty = null;
  socket.ref();
  socket.write(NEXT);
}

main();
