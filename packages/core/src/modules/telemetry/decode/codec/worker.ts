/**
 * The thread in which codecs run: QuickJS compiled to WebAssembly, a new runtime and context for every call, so that nothing of one call
 * is there in the next. A context with the source already read is made while nobody asks.
 *
 * QuickJS ends most of what takes too long by itself, but looks at the clock only between steps of a script: `new Array(1e9) + ""` is one
 * step. What it cannot end, the host ends with the thread; the same after a crash of the machine.
 */
import { parentPort } from "node:worker_threads"
import variant from "@jitl/quickjs-singlefile-mjs-release-sync"
import {
  newQuickJSWASMModuleFromVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSRuntime
} from "quickjs-emscripten-core"
import { isRecord } from "../decoding.ts"
import { bufferScript } from "./buffer.ts"
import { prelude } from "./prelude.ts"
import type { Answer, Outcome, Question } from "./protocol.ts"

const memoryLimit = 8 * 1024 * 1024
const stackLimit = 256 * 1024
const maxAnswer = 262_144
/** Contexts that wait for the next message of their codec. */
const maxPrepared = 32

interface Prepared {
  readonly runtime: QuickJSRuntime
  readonly context: QuickJSContext
  /** Calls the codec; undefined where its source cannot be read. */
  readonly call: QuickJSHandle | undefined
  readonly failure: Outcome | undefined
}

// QuickJS asks its host for the local time: codecs live in UTC wherever the server stands.
Date.prototype.getTimezoneOffset = () => 0

const quickjs = await newQuickJSWASMModuleFromVariant(variant)
const prepared = new Map<string, Prepared>()
let deadline = Number.POSITIVE_INFINITY
/** Milliseconds of the processor's time in this thread: a codec is not slow because the machine is busy. */
const spent = () => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}
const late = () => spent() > deadline

const failureOf = (context: QuickJSContext, error: QuickJSHandle, doing: string): Outcome => {
  if (late()) return { failed: "codec-too-slow", message: `${doing} took too long.` }
  const told = context.dump(error) as unknown
  const text = isRecord(told) ? `${String(told["name"])}: ${String(told["message"])}` : String(told)
  return { failed: "codec-failed", message: `${doing} failed: ${text.slice(0, 500)}` }
}

const prepare = (source: string, limit: number): Prepared => {
  const runtime = quickjs.newRuntime({ memoryLimitBytes: memoryLimit, maxStackSizeBytes: stackLimit })
  runtime.setInterruptHandler(late)
  deadline = spent() + limit
  const context = runtime.newContext()
  if (source.includes("Buffer")) context.unwrapResult(context.evalCode(bufferScript, "buffer.js")).dispose()
  const call = context.unwrapResult(context.evalCode(prelude, "mahalla.js"))
  const read = context.evalCode(source, "codec.js", { type: "global" })
  if (read.error === undefined) {
    read.value.dispose()
    return { runtime, context, call, failure: undefined }
  }
  const failure = failureOf(context, read.error, "Reading the codec")
  read.error.dispose()
  call.dispose()
  return { runtime, context, call: undefined, failure }
}

const dispose = ({ runtime, context, call }: Prepared) => {
  call?.dispose()
  context.dispose()
  runtime.dispose()
}

const ask = ({ context, call, failure }: Prepared, question: Question): Outcome => {
  if (call === undefined) return failure!
  const { function: name, input } = question.call
  const recvTime = "recvTime" in input ? input.recvTime : undefined
  const argument = context.newString(JSON.stringify({ name, input, recvTime }))
  deadline = spent() + question.limit
  const result = context.callFunction(call, context.undefined, argument)
  argument.dispose()
  if (result.error !== undefined) {
    const failure = failureOf(context, result.error, name)
    result.error.dispose()
    return failure
  }
  const returned = context.typeof(result.value) === "string" ? context.getString(result.value) : "null"
  result.value.dispose()
  if (late()) return { failed: "codec-too-slow", message: `${name} took too long.` }
  return returned.length > maxAnswer
    ? { failed: "codec-failed", message: `${name} returned more than ${maxAnswer} characters.` }
    : { returned }
}

const answer = (question: Question): Outcome => {
  const ready = prepared.get(question.source) ?? prepare(question.source, question.limit)
  prepared.delete(question.source)
  const said = ask(ready, question)
  dispose(ready)
  return said
}

/** For the codec's next message. One that was too slow waits until somebody asks for it again. */
const prepareNext = (question: Question) => {
  if (prepared.has(question.source)) return
  const oldest = prepared.keys().next().value
  if (prepared.size >= maxPrepared && oldest !== undefined) {
    dispose(prepared.get(oldest)!)
    prepared.delete(oldest)
  }
  prepared.set(question.source, prepare(question.source, question.limit))
}

const port = parentPort!
const broken = { broken: true } satisfies Answer
const begun = { begun: true } satisfies Answer

port.on("message", (question: Question) => {
  port.postMessage(begun)
  let said: Answer = broken
  try {
    said = answer(question)
  } catch {
    // As after a call stack of the host that overflowed.
  }
  port.postMessage(said)
  // A failure in here ends the thread, which the host sees.
  if ("returned" in said) prepareNext(question)
})

// The first call compiles parts of the machine; it is not a device that should wait for that.
dispose(prepare("function decodeUplink() {}", Number.POSITIVE_INFINITY))
port.postMessage("ready")
