// Bundles the console's scripts and styles into src/ocelog/console/static, each beside its compressed forms.
// usage: node build.mjs [FOLDER]
import { build } from 'esbuild'
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const here = dirname(fileURLToPath(import.meta.url))
const folder = resolve(process.argv[2] ?? join(here, '../src/ocelog/console/static'))

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: ['src/console.js', 'src/charts.js', 'src/console.css'],
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'linked',
  entryNames: '[name]-[hash]',
  outdir: folder,
  metafile: true,
  logLevel: 'warning',
})

// Which file is meant by which name: the pages ask for names, browsers keep files for ever.
const files = {}
for (const [path, output] of Object.entries(metafile.outputs)) {
  if (output.entryPoint) files[output.entryPoint.replace('src/', '')] = path.split('/').at(-1)
}
writeFileSync(join(folder, 'files.json'), JSON.stringify(files, null, 2) + '\n')

for (const name of readdirSync(folder)) {
  if (!/\.(js|css)$/.test(name)) continue
  const raw = readFileSync(join(folder, name))
  writeFileSync(join(folder, `${name}.gz`), gzipSync(raw, { level: 9 }))
  const quality = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY }
  writeFileSync(join(folder, `${name}.br`), brotliCompressSync(raw, { params: quality }))
}
