// A client with mqtt.js that does what its standard input says, a line at a time.
//
//     mqtt_client.js HOST PORT VERSION IDENTIFIER
//
// VERSION is 3, 4 or 5. See `support/library.rs` for the lines that it reads and prints. It
// ends, with a DISCONNECT, when its standard input does.
'use strict'

const mqtt = require('mqtt')
const readline = require('readline')

const [host, port, level, clientId] = process.argv.slice(2)
const protocolVersion = Number(level)
const say = (...words) => process.stdout.write(`${words.join(' ')}\n`)
// What is open in a session that outlives its connection.
const stores = {
  incomingStore: new mqtt.Store({ clean: false }),
  outgoingStore: new mqtt.Store({ clean: false }),
}
let client

function fail(error) {
  process.stderr.write(`${error}\n`)
  process.exit(1)
}

function connect(clean, willTopic, will) {
  const options = {
    host,
    port: Number(port),
    protocolVersion,
    protocolId: protocolVersion === 3 ? 'MQIsdp' : 'MQTT',
    clientId,
    clean: clean === '1',
    reconnectPeriod: 0,
  }
  if (protocolVersion === 5) {
    options.properties = { sessionExpiryInterval: clean === '1' ? 0 : 600 }
  }
  if (willTopic !== '-') {
    options.will = { topic: willTopic, payload: will, qos: 1, retain: false }
  }
  if (clean !== '1') Object.assign(options, stores)
  client = mqtt.connect(options)
  client.on('connect', (packet) => say('connected', Number(packet.sessionPresent)))
  client.on('message', (topic, payload, packet) => {
    const text = payload.length > 64 ? `*${payload.length}` : payload.toString()
    say('>', topic, packet.qos, Number(packet.retain), text)
  })
  client.on('error', fail)
}

const commands = {
  connect,
  subscribe(qos, filter) {
    client.subscribe(filter, { qos: Number(qos) }, (error, granted) => {
      if (error) fail(error)
      say('subscribed', granted[0].qos)
    })
  },
  unsubscribe(filter) {
    client.unsubscribe(filter, (error) => (error ? fail(error) : say('unsubscribed')))
  },
  publish(qos, retain, topic, payload) {
    const bytes = payload.startsWith('*') ? Buffer.alloc(Number(payload.slice(1)), 'x') : payload
    const options = { qos: Number(qos), retain: retain === '1' }
    client.publish(topic, bytes, options, (error) => (error ? fail(error) : say('published')))
  },
  disconnect() {
    client.end(false, () => say('disconnected'))
  },
}

const lines = readline.createInterface({ input: process.stdin })
lines.on('line', (line) => {
  const [command, ...rest] = line.split(' ')
  commands[command](...rest)
})
lines.on('close', () => (client ? client.end(false, () => process.exit(0)) : process.exit(0)))
