import { distanceBetween } from "../../kernel/cases/geo.ts"
import * as Effect from "effect/Effect"
import { assert, describe, it } from "vitest"
import { InvalidInput } from "../../kernel/cases/model.ts"
import type { Position } from "./model.ts"
import { placer, type Transform, transformOf } from "./transform.ts"

const placed = (transform: Transform, position: Position) =>
  Effect.runSync(Effect.map(placer(transform), (place) => place(position)))

describe("a file's coordinates", () => {
  it.each(["EPSG:32642", "+proj=utm +zone=42 +datum=WGS84 +units=m +no_defs"])("of %s become degrees", (projection) => {
    const [longitude, latitude] = placed({ kind: "projection", projection }, [500_000, 4_500_000])!
    // On the zone's middle meridian; scale 0.9996. Metres from the equator by the series for the ellipsoid WGS84.
    assert.strictEqual(longitude, 69)
    const angle = (latitude * Math.PI) / 180
    const arc = 111_132.9526 * latitude - 16_038.509 * Math.sin(2 * angle) + 16.833 * Math.sin(4 * angle)
    assert.closeTo(arc, 4_500_000 / 0.9996, 1)
  })

  it("of_web_maps_become_degrees", () => {
    const radius = 6_378_137
    const position = [(radius * 69.28 * Math.PI) / 180, radius * Math.asinh(Math.tan((41.31 * Math.PI) / 180))] as const
    assert.deepStrictEqual(placed({ kind: "projection", projection: "EPSG:3857" }, position), [69.28, 41.31])
  })

  it("hang_on_an_anchor_in_their_own_unit_with_north_up", () => {
    const anchor: Transform = {
      kind: "anchor",
      longitude: 69.28,
      latitude: 41.31,
      x: 100,
      y: 50,
      metresPerUnit: 0.3048
    }
    assert.deepStrictEqual(placed(anchor, [100, 50]), [69.28, 41.31])
    const [longitude, latitude] = placed(anchor, [100, 50 + 10_000])!
    assert.strictEqual(longitude, 69.28)
    // The sphere of the yardstick differs from the ellipsoid by a few parts in a thousand.
    assert.closeTo(distanceBetween({ longitude, latitude }, { longitude: 69.28, latitude: 41.31 }), 3048, 10)
    // A degree of longitude at this latitude is 83,759 m (WGS84).
    assert.closeTo((placed(anchor, [10_100, 50])![0] - 69.28) * 83_759, 3048, 2)
  })

  it("that_lie_outside_the_globe_have_no_place", () => {
    assert.isUndefined(placed({ kind: "degrees" }, [200, 0]))
    assert.isUndefined(placed({ kind: "projection", projection: "EPSG:32642" }, [1e12, 1e12]))
  })

  it.each([
    [{ longitude: 1 }, "#query/latitude"],
    [{ latitude: 1 }, "#query/longitude"],
    [{ longitude: 1, latitude: 86 }, "#query/latitude"],
    [{ longitude: 1, latitude: 1, metresPerUnit: 0 }, "#query/metresPerUnit"],
    [{ longitude: 1, latitude: 1, projection: "degrees" }, "#query/projection"],
    [{ metresPerUnit: 2 }, "#query/metresPerUnit"],
    [{ x: 2, projection: "degrees" }, "#query/x"]
  ])("asked for as %j are refused", (query, pointer) => {
    const answer = transformOf(query)
    assert.strictEqual(answer instanceof InvalidInput && answer.issues[0]!.pointer, pointer)
  })
})
