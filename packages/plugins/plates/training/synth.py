"""Renders training strips for the plate reader: one line of plate text per strip, from fonts, with no photograph involved.

A strip is 32 rows high and 224 columns wide, grey, dark text on light, capitals about 20 rows high, as `strip.ts` cuts them.
Usage: synth.py OUT_DIR SEED COUNT FONT_DIR...
"""
import glob
import os
import random
import sys

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

HEIGHT, WIDTH, CAP = 32, 224, 20
# O and 0 are one class: plates draw them alike, and only a national format can tell them apart.
CLASSES = "0123456789ABCDEFGHIJKLMNPQRSTUVWXYZ"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PATTERNS = ["AA999AA"] * 3 + ["99A999AA"] * 3 + ["99999AAA"] * 2 + [
    "9A99999", "AAA9999", "AA99999", "A999AA", "AAA999", "AA9999", "A99999", "AAAA999", "AAAAAA", "AAAAAAA", "AAA9999",
    "AA9999AA", "999AAA", "9999AA", "AAAAA99", "AA99AAA", "9999999", "99999", "A9AAA9", "9A99999"]
DROP = ("italic", "oblique", "hairline", "thin", "serif-", "script", "slab", "emoji", "wide-half", "half")


class Fonts:
    def __init__(self, folders):
        paths = []
        for folder in folders:
            for end in ("ttf", "otf", "woff"):
                paths += glob.glob(f"{folder}/**/*.{end}", recursive=True)
        keep = []
        for path in paths:
            name = os.path.basename(path).lower()
            if any(word in name for word in DROP) or "serif" in name:
                continue
            if name.endswith("woff") and ("-latin-" not in name or "-latin-ext" in name):
                continue
            if any(f"-{weight}-" in name for weight in ("100", "200", "900", "800")):
                continue
            keep.append(path)
        families = {}
        for path in keep:
            name = os.path.basename(path).lower()
            families.setdefault(name.split("-")[0][:6], []).append(path)
        self.families = list(families.values())
        self.cache = {}

    def pick(self, rng):
        # Each family equally often, however many weights it has; road and drafting faces are nearest to real plates.
        family = rng.choice(self.families)
        near = [f for f in self.families if any(k in f[0].lower() for k in ("din", "osifont", "rg2014", "routed", "barlow", "gidole", "saira", "b612", "overpass"))]
        if near and rng.random() < 0.5:
            family = rng.choice(near)
        return rng.choice(family)

    def glyph(self, path, char):
        key = (path, char)
        if key not in self.cache:
            if path not in self.cache:
                self.cache[path] = ImageFont.truetype(path, 84)
            font = self.cache[path]
            left, top, right, bottom = font.getbbox(char)
            image = Image.new("L", (max(2, right - left + 2), max(2, bottom - top + 2)), 0)
            ImageDraw.Draw(image).text((1 - left, 1 - top), char, font=font, fill=255)
            glyph = np.array(image)
            rows, columns = np.any(glyph > 40, axis=1), np.any(glyph > 40, axis=0)
            if not rows.any():
                raise ValueError(path)
            glyph = glyph[np.argmax(rows) : len(rows) - np.argmax(rows[::-1]), np.argmax(columns) : len(columns) - np.argmax(columns[::-1])]
            self.cache[key] = glyph
        return self.cache[key]


def random_text(rng):
    if rng.random() < 0.75:
        pattern = rng.choice(PATTERNS)
    else:
        pattern = "".join(rng.choice("A9") for _ in range(rng.randint(4, 9)))
    return "".join(rng.choice(LETTERS) if c == "A" else rng.choice("0123456789") for c in pattern), pattern


def clutter(rng, height, width):
    """What stands around a plate: bumpers, grilles, lettering, shadows."""
    base = rng.uniform(0, 255)
    small = np.clip(rng.nprng.normal(base, rng.uniform(3, 60), (rng.randint(2, 8), rng.randint(2, 24))), 0, 255).astype(np.float32)
    image = cv2.resize(small, (width, height), interpolation=rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST]))
    for _ in range(rng.randint(0, 7)):
        grey, kind = rng.uniform(0, 255), rng.random()
        a = (rng.randint(0, width), rng.randint(0, height))
        b = (rng.randint(0, width), rng.randint(0, height))
        if kind < 0.3:
            cv2.line(image, a, b, grey, rng.randint(1, 9))
        elif kind < 0.5:
            cv2.line(image, (0, a[1]), (width, a[1] + rng.randint(-9, 9)), grey, rng.randint(1, 12))
        elif kind < 0.65:
            cv2.line(image, (a[0], 0), (a[0] + rng.randint(-9, 9), height), grey, rng.randint(1, 9))
        elif kind < 0.8:
            cv2.rectangle(image, a, b, grey, rng.choice([-1, 2, 4]))
        elif kind < 0.9:
            cv2.circle(image, a, rng.randint(3, 40), grey, rng.choice([-1, 2, 5]))
        else:
            step = rng.randint(6, 16)
            for x in range(min(a[0], b[0]), max(a[0], b[0]), step):
                cv2.line(image, (x, a[1]), (x, b[1]), grey, max(1, step // 3))
    return image


def small_text(rng, canvas, fonts, x, y, size, grey, text):
    path = fonts.pick(rng)
    for char in text:
        try:
            glyph = fonts.glyph(path, char)
        except (ValueError, OSError):
            return
        high = size
        wide = max(2, int(glyph.shape[1] * high / 70))
        mask = cv2.resize(glyph, (wide, high), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        if x < 0 or y < 0 or x + wide >= canvas.shape[1] or y + high >= canvas.shape[0]:
            return
        region = canvas[y : y + high, x : x + wide]
        region[:] = region * (1 - mask) + grey * mask
        x += wide + max(1, size // 8)


def strip(rng, fonts):
    """One strip and its text; the text is empty for a strip without a plate."""
    cap, scale = 60, 3
    canvas_h, canvas_w = 220, WIDTH * scale + 200
    canvas = clutter(rng, canvas_h, canvas_w)
    if rng.random() < 0.07:
        text, glyphs, places = "", [], []
        left = right = canvas_w // 2
        middle = canvas_h // 2
    else:
        text, pattern = random_text(rng)
        path = fonts.pick(rng)
        light = rng.uniform(70, 255)
        dark = light * rng.uniform(0.05, 0.6)
        squeeze = rng.uniform(0.72, 1.15) if rng.random() < 0.8 else rng.uniform(1.1, 1.6)
        gap = rng.randint(3, 16) if rng.random() < 0.85 else rng.randint(16, 28)
        bold = rng.choice([-1, 0, 0, 0, 1, 2])
        glyphs = []
        for char in text:
            glyph = fonts.glyph(path, char)
            wide = max(4, int(glyph.shape[1] * cap / max(glyph.shape[0], 40) * (squeeze if char not in "I1" else 1)))
            glyph = cv2.resize(glyph, (wide, cap), interpolation=cv2.INTER_AREA)
            if bold > 0:
                glyph = cv2.dilate(np.pad(glyph, 2), np.ones((2 * bold + 1, 2 * bold + 1), np.uint8))[2:-2, 1:-1]
                glyph = cv2.resize(glyph, (glyph.shape[1], cap))
            elif bold < 0:
                glyph = cv2.erode(glyph, np.ones((3, 3), np.uint8))
            glyphs.append(glyph)
        # Where groups of the plate meet stands a gap: empty, a dash, a rule, a seal or two.
        seams = set()
        for i in range(1, len(text)):
            if text[i].isdigit() != text[i - 1].isdigit() and rng.random() < 0.6:
                seams.add(i)
        if rng.random() < 0.3 and len(text) > 4:
            seams.add(rng.randint(1, len(text) - 1))
        mono = rng.random() < 0.3
        cell = max(g.shape[1] for g in glyphs)
        x = 0
        places, marks = [], []
        for i, glyph in enumerate(glyphs):
            if i in seams:
                space = rng.randint(8, 50)
                marks.append((x, space))
                x += space
            inset = (cell - glyph.shape[1]) // 2 if mono else 0
            places.append(x + inset)
            x += (cell if mono else glyph.shape[1]) + gap
        total = x - gap
        if total > (WIDTH * scale - 30):
            total_limit = WIDTH * scale - 30
            ratio = total_limit / total
            glyphs = [cv2.resize(g, (max(3, int(g.shape[1] * ratio)), cap), interpolation=cv2.INTER_AREA) for g in glyphs]
            places = [int(p * ratio) for p in places]
            marks = [(int(a * ratio), int(b * ratio)) for a, b in marks]
            total = total_limit
        left = (canvas_w - total) // 2
        right = left + total
        middle = canvas_h // 2
        top = middle - cap // 2
        pad_y = rng.randint(5, 26)
        pad_l, pad_r = rng.randint(8, 40), rng.randint(8, 40)
        band = rng.random()
        p0, p1 = left - pad_l, right + pad_r
        band_w = rng.randint(24, 56)
        if band < 0.55:
            p0 -= band_w
        tail = rng.random() < 0.2
        if tail:
            p1 += rng.randint(40, 80)
        y0, y1 = top - pad_y, top + cap + pad_y
        if rng.random() < 0.92:
            cv2.rectangle(canvas, (p0, y0), (p1, y1), light, -1)
            frame = rng.random()
            if frame < 0.4:
                cv2.rectangle(canvas, (p0, y0), (p1, y1), dark, rng.randint(1, 7))
            elif frame < 0.6:
                grey = rng.uniform(0, 255)
                cv2.rectangle(canvas, (p0 - 6, y0 - 6), (p1 + 6, y1 + 6), grey, rng.randint(4, 12))
            if rng.random() < 0.3:
                cv2.rectangle(canvas, (p0 - 10, y1), (p1 + 10, y1 + 30), rng.uniform(0, 80), -1)
                small_text(rng, canvas, fonts, p0 + rng.randint(0, 200), y1 + 6, rng.randint(10, 20), rng.uniform(100, 255), "".join(rng.choice(LETTERS) for _ in range(rng.randint(3, 18))))
        else:
            region = canvas[y0:y1, p0:p1]
            region[:] = light * 0.85 + region * 0.15
        if band > 0.7 and rng.random() < 0.6:
            # A coat of arms with small letters below it, on the plate's own ground, close to the first character.
            x = left - rng.randint(20, 34)
            grey = rng.uniform(0.15, 0.75) * light
            cv2.ellipse(canvas, (x, middle - rng.randint(6, 16)), (rng.randint(7, 12), rng.randint(9, 15)), 0, 0, 360, grey, -1)
            if rng.random() < 0.5:
                cv2.line(canvas, (x, middle - 18), (x, middle - 2), light * rng.uniform(0.6, 1), 3)
            small_text(rng, canvas, fonts, x - 12, middle + rng.randint(6, 14), rng.randint(12, 20), dark, rng.choice(["SK", "PL", "HR", "A", "CZ"]))
        if band < 0.4:
            cv2.rectangle(canvas, (p0, y0), (p0 + band_w, y1), light * rng.uniform(0.1, 0.6), -1)
        if band < 0.55:
            ink = light * rng.uniform(0.8, 1.0) if band < 0.4 else dark
            size = rng.randint(14, 26)
            small_text(rng, canvas, fonts, p0 + 4, y1 - size - rng.randint(2, 10), size, ink, rng.choice(["SK", "D", "CZ", "PL", "GE", "UZ", "F", "SK", "H", "A", "RO"]))
            if rng.random() < 0.6:
                centre = (p0 + band_w // 2, y0 + (y1 - y0) // 3)
                cv2.ellipse(canvas, centre, (rng.randint(6, 14), rng.randint(8, 18)), 0, 0, 360, rng.uniform(0, 1) * light, rng.choice([-1, -1, 2]))
        if tail:
            small_text(rng, canvas, fonts, right + pad_r + 6, middle + 4, rng.randint(16, 24), dark, rng.choice(["UZ", "GEO", "KZ", "RUS"]))
            cv2.rectangle(canvas, (right + pad_r + 6, top + 4), (right + pad_r + 36, middle - 6), rng.uniform(0.2, 0.9) * light, -1)
            if rng.random() < 0.5:
                cv2.line(canvas, (right + pad_r, y0), (right + pad_r, y1), dark, rng.randint(1, 5))
        for start, space in marks:
            centre = left + start + space // 2 - gap // 2
            kind = rng.random()
            if kind < 0.3:
                half = max(3, space // 3)
                cv2.line(canvas, (centre - half, middle), (centre + half, middle), dark, rng.randint(4, 11))
            elif kind < 0.5:
                cv2.line(canvas, (centre, y0), (centre, y1), dark, rng.randint(2, 5))
            elif kind < 0.8 and space > 18:
                for dy in rng.choice([(-16, 16), (-18,), (18,), (0,), (-14, 14)]):
                    cv2.ellipse(canvas, (centre, middle + dy), (min(14, space // 2), rng.randint(9, 14)), 0, 0, 360, light * rng.uniform(0.2, 0.9), -1)
                    if rng.random() < 0.5:
                        cv2.circle(canvas, (centre, middle + dy), rng.randint(3, 7), light * rng.uniform(0.2, 1), -1)
                if rng.random() < 0.3:
                    cv2.line(canvas, (centre - 10, middle), (centre + 10, middle), dark, rng.randint(4, 9))
        for place, glyph in zip(places, glyphs):
            mask = glyph.astype(np.float32) / 255
            region = canvas[top : top + cap, left + place : left + place + glyph.shape[1]]
            region[:] = region * (1 - mask[:, : region.shape[1]]) + dark * mask[:, : region.shape[1]]
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            cv2.circle(canvas, (rng.randint(left, right), middle + rng.choice([-1, 1]) * rng.randint(26, 40)), rng.randint(2, 6), rng.uniform(0, 1) * light, -1)
    # Into the strip: scale, tilt, shear and shift as a rough rectification leaves them.
    zoom = (CAP * rng.uniform(0.78, 1.2)) / cap
    stretch = rng.uniform(0.85, 1.15)
    span = (right - left) * zoom * stretch
    if span > WIDTH - 8:
        stretch *= (WIDTH - 8) / span
        span = WIDTH - 8
    slack = (WIDTH - span) / 2
    shift = rng.uniform(-slack, slack) * 0.9
    angle = rng.gauss(0, 0.02)
    shear = rng.gauss(0, 0.07)
    cx, cy = (left + right) / 2, middle
    m = np.array([[zoom * stretch, shear * zoom, 0], [angle * zoom, zoom, 0]], np.float32)
    m[0, 2] = WIDTH / 2 + shift - m[0, 0] * cx - m[0, 1] * cy
    m[1, 2] = HEIGHT / 2 + rng.uniform(-2.5, 2.5) - m[1, 0] * cx - m[1, 1] * cy
    # First into the camera's pixels (fewer than the strip's, for a plate far away), then up into the strip.
    detail = rng.uniform(0.5, 1.0) if rng.random() < 0.6 else rng.uniform(1.0, 2.2)
    far = (max(24, int(WIDTH * detail)), max(10, int(HEIGHT * detail)))
    blur = (1 / (zoom * detail)) * 0.42
    canvas = cv2.GaussianBlur(canvas, (0, 0), max(0.3, blur))
    image = cv2.warpAffine(canvas, m * np.array([[detail], [detail]], np.float32), far, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.35:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.1) * max(detail, 0.6))
    if rng.random() < 0.12:
        length = rng.randint(2, 4)
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2, :] = 1 / length
        image = cv2.filter2D(image, -1, kernel if rng.random() < 0.6 else kernel.T)
    if rng.random() < 0.5:
        a, b = rng.uniform(0.6, 1.0), rng.uniform(0.6, 1.3)
        image *= np.linspace(a, b, image.shape[1], dtype=np.float32)[None, :]
    if rng.random() < 0.25:
        image *= np.linspace(rng.uniform(0.6, 1), rng.uniform(0.6, 1.2), image.shape[0], dtype=np.float32)[:, None]
    if rng.random() < 0.2:
        edge = rng.randint(0, image.shape[1])
        image[:, :edge] *= rng.uniform(0.5, 0.9)
    if rng.random() < 0.2:
        image = 128 + (image - 128) * rng.uniform(0.3, 0.8)
    if rng.random() < 0.25:
        image = image + rng.uniform(0.4, 1.2) * (image - cv2.GaussianBlur(image, (0, 0), 1.0))
    image = image + rng.nprng.normal(0, rng.choice([1, 3, 6, 10]), image.shape)
    image = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, rng.randint(25, 92)])[1], 0)
    image = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR if detail < 1 else cv2.INTER_AREA)
    # Where each character's middle ended up, and how wide it is there.
    spots = np.full((12, 2), -1, np.float32)
    for i, (place, glyph) in enumerate(zip(places, glyphs)):
        x, y = left + place + glyph.shape[1] / 2, middle
        spots[i] = (m[0, 0] * x + m[0, 1] * y + m[0, 2], glyph.shape[1] * m[0, 0])
    return image, text.replace("O", "0"), spots


def main():
    out, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(seed)
    rng.nprng = np.random.default_rng(seed)
    fonts = Fonts(sys.argv[4:])
    cv2.setNumThreads(1)
    images, labels, spots = np.zeros((count, HEIGHT, WIDTH), np.uint8), [], np.zeros((count, 12, 2), np.float32)
    i = 0
    while i < count:
        try:
            images[i], text, spots[i] = strip(rng, fonts)
        except (ValueError, OSError):
            continue
        labels.append(text)
        i += 1
    np.savez(f"{out}/{seed}.npz", images=images, labels=np.array(labels), spots=spots)


if __name__ == "__main__":
    main()
