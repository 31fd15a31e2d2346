/** The floor: as many signed posts over kept connections as go, and nothing kept of them. */
import { createHmac, randomBytes, randomUUID } from "node:crypto"
import { Agent, request } from "node:http"

export interface Posts {
  readonly url: string
  readonly amount: number
  readonly atOnce: number
  readonly body: string
}

const secret = randomBytes(32)
const agent = new Agent({ keepAlive: true, maxFreeSockets: 256 })

const post = ({ body, url }: Posts) =>
  new Promise<void>((resolve, reject) => {
    const id = `evt_${randomUUID()}`
    const timestamp = String(Math.floor(Date.now() / 1000))
    const signature = `v1,${createHmac("sha256", secret).update(`${id}.${timestamp}.${body}`).digest("base64")}`
    const sent = request(url, {
      method: "POST",
      agent,
      headers: {
        "content-type": "application/cloudevents+json",
        "content-length": Buffer.byteLength(body),
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature
      }
    })
    sent.once("error", reject)
    sent.once("response", (response) => {
      response.resume()
      response.once("end", resolve)
    })
    sent.end(body)
  })

process.on("message", (given) => {
  const posts = given as Posts
  let left = posts.amount
  const one = async () => {
    while (left-- > 0) await post(posts)
  }
  void Promise.all(Array.from({ length: posts.atOnce }, one)).then(() => process.send?.({ done: true }))
})
process.on("disconnect", () => process.exit(0))
process.send?.({ ready: true })
