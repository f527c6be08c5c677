// A subscriber with mqtt.js: prints what comes, one message to a line.
//
//     mqtt_sub.js HOST PORT VERSION IDENTIFIER FILTER
//
// VERSION is 4 or 5. A line is `> TOPIC RETAIN PAYLOAD`, RETAIN 0 or 1. It ends, with a
// DISCONNECT, when its standard input does.
'use strict'

const mqtt = require('mqtt')

const [host, port, version, clientId, filter] = process.argv.slice(2)
const client = mqtt.connect({
  host,
  port: Number(port),
  protocolVersion: Number(version),
  clientId,
  clean: true,
  reconnectPeriod: 0,
})

client.on('connect', () => {
  client.subscribe(filter, (error) => {
    if (error) throw error
  })
})
client.on('message', (topic, payload, packet) => {
  process.stdout.write(`> ${topic} ${Number(packet.retain)} ${payload}\n`)
})
client.on('disconnect', (packet) => process.stdout.write(`disconnected ${packet.reasonCode}\n`))
client.on('error', (error) => {
  process.stderr.write(`${error}\n`)
  process.exit(1)
})
process.stdin.resume()
process.stdin.on('end', () => client.end(() => process.exit(0)))
