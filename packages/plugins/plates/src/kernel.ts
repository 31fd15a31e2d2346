/**
 * The inner loop of the network's arithmetic in WebAssembly, eight products at a time. Its source is `training/kernel.wat`, assembled
 * with wabt; the same loop in JavaScript takes about eight times as long.
 */
const code =
  "AGFzbQEAAAABCQFgBX9/f39/AAIQAQRob3N0Bm1lbW9yeQIAAQMCAQAHDgEKYWNjdW11bGF0ZQAACpsBAZgBAgR/A3sDQCACIAVq/QAEACEJIAIgBWr9AAQQIQogASAFaiEHIAAhCCADIQYDQCAI/QkCACELIAkgCyAH/QAEAP3mAf3kASEJIAogCyAH/QAEEP3mAf3kASEKIAhBBGohCCAHIARqIQcgBkEBayIGDQALIAIgBWogCf0LBAAgAiAFaiAK/QsEECAFQSBqIQUgBSAESQ0ACws="

/** out[o] += Σ in[c] · kernel[c][o]: addresses and the kernel's row in bytes, the row a multiple of 32. */
export type Accumulate = (input: number, kernel: number, output: number, count: number, rowBytes: number) => void

export interface Kernel {
  readonly floats: Float32Array
  readonly accumulate: Accumulate
}

export const makeKernel = (bytes: number): Kernel => {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / 65_536) })
  const module = new WebAssembly.Module(Buffer.from(code, "base64"))
  const { exports } = new WebAssembly.Instance(module, { host: { memory } })
  return { floats: new Float32Array(memory.buffer), accumulate: exports["accumulate"] as Accumulate }
}
