// A registry of scoped packages: REGISTRY_FOLDER has NAME.json (as package.json) and NAME.tgz, both from `npm pack`.
// What npm asks for is /@scope%2fname, and then the tarball at the address that the answer names.
'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

const folder = process.env.REGISTRY_FOLDER;
const [host, port] = process.argv[2].split(':');
const where = host === 'unix' ? { path: port } : { host, port: Number(port) };

function metadata(name, base) {
  const file = path.join(folder, path.basename(name));
  const manifest = JSON.parse(fs.readFileSync(`${file}.json`, 'utf8'));
  const digest = crypto.createHash('sha512').update(fs.readFileSync(`${file}.tgz`)).digest('base64');
  const dist = { tarball: `${base}/${name}/-/${path.basename(name)}-${manifest.version}.tgz`, integrity: `sha512-${digest}` };
  const versions = { [manifest.version]: { ...manifest, dist } };
  return { name, 'dist-tags': { latest: manifest.version }, versions };
}

http.createServer((request, response) => {
  const asked = request.url;
  const tarball = /^\/@scope\/([a-z]+)\/-\/[a-z.0-9-]+\.tgz$/.exec(asked);
  const named = /^\/@scope%2f([a-z]+)$/i.exec(asked);
  if (tarball) {
    response.setHeader('Content-Type', 'application/octet-stream');
    fs.createReadStream(path.join(folder, `${tarball[1]}.tgz`)).pipe(response);
  } else if (named) {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(metadata(`@scope/${named[1]}`, `http://${request.headers.host}`)));
  } else {
    response.statusCode = 404;
    response.end(JSON.stringify({ error: `no such thing: ${asked}` }));
  }
  console.log(asked, response.statusCode);
}).listen(where);
