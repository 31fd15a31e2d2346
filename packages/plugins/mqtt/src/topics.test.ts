/** Which topic says what, and frames that are too large. */
import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import { frameGuard } from "./frames.ts"
import { isIn, routeOfBroker, routeOfDevice, takesCommand } from "./topics.ts"

describe("topics and frames", () => {
  const session = { id: "1", deviceId: "d", tenantId: "t", tenant: "town", device: "meter", gateway: false }
  const level = fc.oneof(
    fc.constantFrom("mahalla", "town", "meter", "telemetry", "v1", "devices", "spBv1.0"),
    fc.string()
  )
  const topics = fc.array(level, { maxLength: 6 }).map((levels) => levels.join("/"))

  it("never_let_a_device_speak_for_another", () => {
    fc.assert(
      fc.property(topics, (topic) => {
        const route = routeOfDevice(session, topic)
        if (route.kind !== "refused" && topic.startsWith("mahalla/"))
          assert.isTrue(topic.startsWith("mahalla/town/meter/"))
        if (topic.startsWith("spBv1.0/") || topic.startsWith("$")) assert.strictEqual(route.kind, "refused")
      })
    )
  })

  it("that_are_called_like_what_every_object_has_are_topics_like_others", () => {
    for (const topic of ["constructor", "toString", "__proto__", "valueOf"])
      assert.deepEqual(routeOfDevice(session, topic), { kind: "message", format: "profile" })
  })

  it("read_names_only_where_they_stand_in_topics_of_a_broker", () => {
    const nothing = new Uint8Array()
    const sources = { prefix: "city/", kinds: ["mahalla", "chirpstack"], tenant: "town", tenants: undefined } as const
    fc.assert(
      fc.property(topics, (topic) => {
        const route = routeOfBroker(sources, topic, nothing)
        if (!topic.startsWith("city/")) assert.isUndefined(route)
      })
    )
    assert.deepEqual(routeOfBroker(sources, "city/mahalla/a/b/senml", nothing), {
      from: { tenant: "a", device: "b" },
      format: "senml-json"
    })
    assert.deepEqual(routeOfBroker(sources, "city/application/1/device/0a/event/up", nothing), {
      from: { tenant: "town", device: "0a" },
      format: "chirpstack"
    })
    assert.isUndefined(routeOfBroker(sources, "city/spBv1.0/g/NDATA/n", nothing))
  })

  it("of_a_citys_own_broker_are_of_that_city_and_its_commands_alone_go_there", () => {
    const sources = { prefix: "", kinds: ["mahalla"], tenant: "town", tenants: ["town"] } as const
    const of = (tenant: string) => routeOfBroker(sources, `mahalla/${tenant}/b/telemetry`, new Uint8Array())?.from
    assert.deepEqual([of("town"), of("other")], [{ tenant: "town", device: "b" }, undefined])
    const command = { id: "c", device: "b", deviceId: "d", method: "open", params: null, expiresAt: 1 }
    assert.isTrue(takesCommand(sources, { ...command, tenant: "town" }))
    assert.isFalse(takesCommand(sources, { ...command, tenant: "other" }))
  })

  it("know_a_device_of_the_things_stack_by_its_DevEUI_where_it_says_one", () => {
    const sources = { prefix: "", kinds: ["things-stack"], tenant: "town", tenants: undefined } as const
    const of = (body: unknown, topic = "v3/a@t/devices/pump-1/up") =>
      routeOfBroker(sources, topic, Buffer.from(JSON.stringify(body)))?.from
    assert.deepEqual(of({ end_device_ids: { dev_eui: "A1B2C3D4E5F60708" } }), {
      tenant: "town",
      device: "a1b2c3d4e5f60708"
    })
    for (const body of [{}, null, { end_device_ids: { dev_eui: "x" } }])
      assert.deepEqual(of(body), { tenant: "town", device: "pump-1" })
    assert.isDefined(of({}, "v3/a@t/devices/pump-1/down/ack"))
    // What we publish ourselves.
    assert.isUndefined(of({}, "v3/a@t/devices/pump-1/down/push"))
  })

  it("are_in_a_filter_as_the_protocol_says", () => {
    for (const [filter, topic, expected] of [
      ["a/+/c", "a/b/c", true],
      ["a/+/c", "a/b/d", false],
      ["a/+", "a/b/c", false],
      ["a/#", "a/b/c", true],
      ["a/#", "a", true],
      ["a/b/c", "a/b", false],
      ["+/+", "/b", true]
    ] as const)
      assert.strictEqual(isIn(filter, topic), expected, `${filter} ${topic}`)
  })

  it("find_the_frame_that_is_too_large_however_the_stream_is_cut", () => {
    const frame = (size: number) =>
      Buffer.concat([
        Buffer.from(size < 128 ? [0x30, size] : [0x30, (size & 127) | 128, size >> 7]),
        Buffer.alloc(size)
      ])
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 400 })), fc.array(fc.nat()), (sizes, cuts) => {
        const stream = Buffer.concat([frame(5), ...sizes.map(frame)])
        const admitted = frameGuard(50, 300)
        const at = [...new Set([0, ...cuts.map((cut) => cut % stream.length), stream.length])].sort((a, b) => a - b)
        const verdicts = at.slice(1).map((end, index) => admitted(stream.subarray(at[index], end)))
        assert.strictEqual(
          verdicts.includes(false),
          sizes.some((size) => size > 300)
        )
      })
    )
  })
})
