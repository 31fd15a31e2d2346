// Loaded into the server by start.mjs: when the starter is gone, even killed, the server drains and ends instead of staying behind.
let stopping = false
process.on("message", () => {
  stopping = true
})
process.on("disconnect", () => {
  if (!stopping) process.kill(process.pid, "SIGTERM")
})
process.channel?.unref()
