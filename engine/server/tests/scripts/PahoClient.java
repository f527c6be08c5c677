// A client with Eclipse Paho for Java that does what its standard input says, a line at a
// time.
//
//     java -cp JARS PahoClient.java HOST PORT VERSION IDENTIFIER
//
// VERSION is 3, 4 or 5. See `support/library.rs` for the lines that it reads and prints. It
// ends, with a DISCONNECT, when its standard input does.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.eclipse.paho.client.mqttv3.IMqttDeliveryToken;
import org.eclipse.paho.client.mqttv3.MqttAsyncClient;
import org.eclipse.paho.client.mqttv3.MqttCallbackExtended;
import org.eclipse.paho.client.mqttv3.MqttConnectOptions;
import org.eclipse.paho.client.mqttv3.MqttMessage;
import org.eclipse.paho.client.mqttv3.persist.MemoryPersistence;
import org.eclipse.paho.mqttv5.client.IMqttToken;
import org.eclipse.paho.mqttv5.client.MqttCallback;
import org.eclipse.paho.mqttv5.client.MqttConnectionOptions;
import org.eclipse.paho.mqttv5.client.MqttDisconnectResponse;
import org.eclipse.paho.mqttv5.common.MqttException;
import org.eclipse.paho.mqttv5.common.packet.MqttProperties;

class PahoClient {
    /** What both libraries can do, each in its way. */
    interface Client {
        boolean connect(boolean clean, String willTopic, byte[] will) throws Exception;

        int subscribe(int qos, String filter) throws Exception;

        void unsubscribe(String filter) throws Exception;

        void publish(int qos, boolean retain, String topic, byte[] payload) throws Exception;

        void disconnect() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        String address = "tcp://" + arguments[0] + ":" + arguments[1];
        int version = Integer.parseInt(arguments[2]);
        Client client =
                version == 5 ? new Newer(address, arguments[3]) : new Older(address, version, arguments[3]);
        BufferedReader lines =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        boolean isConnected = false;
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "connect" -> {
                    String willTopic = words[2].equals("-") ? null : words[2];
                    boolean present = client.connect(words[1].equals("1"), willTopic, bytes(words[3]));
                    isConnected = true;
                    say("connected " + (present ? 1 : 0));
                }
                case "subscribe" -> say("subscribed " + client.subscribe(number(words[1]), words[2]));
                case "unsubscribe" -> {
                    client.unsubscribe(words[1]);
                    say("unsubscribed");
                }
                case "publish" -> {
                    client.publish(number(words[1]), words[2].equals("1"), words[3], bytes(words[4]));
                    say("published");
                }
                case "disconnect" -> {
                    client.disconnect();
                    isConnected = false;
                    say("disconnected");
                }
                default -> throw new IllegalArgumentException(line);
            }
        }
        if (isConnected) {
            client.disconnect();
        }
        System.exit(0);
    }

    static int number(String text) {
        return Integer.parseInt(text);
    }

    static byte[] bytes(String payload) {
        if (!payload.startsWith("*")) {
            return payload.getBytes(StandardCharsets.UTF_8);
        }
        byte[] many = new byte[number(payload.substring(1))];
        Arrays.fill(many, (byte) 'x');
        return many;
    }

    static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    static void got(String topic, int qos, boolean retain, byte[] payload) {
        String text =
                payload.length > 64 ? "*" + payload.length : new String(payload, StandardCharsets.UTF_8);
        say("> " + topic + " " + qos + " " + (retain ? 1 : 0) + " " + text);
    }

    /** MQTT 3.1 and 3.1.1. */
    static class Older implements Client, MqttCallbackExtended {
        final MqttAsyncClient client;
        final int version;

        Older(String address, int version, String identifier) throws Exception {
            this.client = new MqttAsyncClient(address, identifier, new MemoryPersistence());
            this.version = version;
            client.setCallback(this);
        }

        public boolean connect(boolean clean, String willTopic, byte[] will) throws Exception {
            MqttConnectOptions options = new MqttConnectOptions();
            options.setMqttVersion(version);
            options.setCleanSession(clean);
            // A message counts as open for a while after its token says that it is not.
            options.setMaxInflight(100);
            if (willTopic != null) {
                options.setWill(willTopic, will, 1, false);
            }
            var token = client.connect(options);
            token.waitForCompletion();
            return token.getSessionPresent();
        }

        public int subscribe(int qos, String filter) throws Exception {
            var token = client.subscribe(filter, qos);
            token.waitForCompletion();
            return token.getGrantedQos()[0];
        }

        public void unsubscribe(String filter) throws Exception {
            client.unsubscribe(filter).waitForCompletion();
        }

        public void publish(int qos, boolean retain, String topic, byte[] payload) throws Exception {
            client.publish(topic, payload, qos, retain).waitForCompletion();
        }

        public void disconnect() throws Exception {
            client.disconnect().waitForCompletion();
        }

        public void messageArrived(String topic, MqttMessage message) {
            got(topic, message.getQos(), message.isRetained(), message.getPayload());
        }

        public void connectComplete(boolean again, String address) {}

        public void connectionLost(Throwable cause) {
            say("lost " + cause);
        }

        public void deliveryComplete(IMqttDeliveryToken token) {}
    }

    /** MQTT 5. */
    static class Newer implements Client, MqttCallback {
        final org.eclipse.paho.mqttv5.client.MqttAsyncClient client;

        Newer(String address, String identifier) throws Exception {
            var persistence = new org.eclipse.paho.mqttv5.client.persist.MemoryPersistence();
            client = new org.eclipse.paho.mqttv5.client.MqttAsyncClient(address, identifier, persistence);
            client.setCallback(this);
        }

        public boolean connect(boolean clean, String willTopic, byte[] will) throws Exception {
            MqttConnectionOptions options = new MqttConnectionOptions();
            options.setCleanStart(clean);
            options.setSessionExpiryInterval(clean ? 0L : 600L);
            if (willTopic != null) {
                var message = new org.eclipse.paho.mqttv5.common.MqttMessage(will, 1, false, null);
                options.setWill(willTopic, message);
            }
            IMqttToken token = client.connect(options);
            token.waitForCompletion();
            return token.getSessionPresent();
        }

        public int subscribe(int qos, String filter) throws Exception {
            IMqttToken token = client.subscribe(filter, qos);
            token.waitForCompletion();
            return token.getReasonCodes()[0];
        }

        public void unsubscribe(String filter) throws Exception {
            client.unsubscribe(filter).waitForCompletion();
        }

        public void publish(int qos, boolean retain, String topic, byte[] payload) throws Exception {
            client.publish(topic, payload, qos, retain).waitForCompletion();
        }

        public void disconnect() throws Exception {
            client.disconnect().waitForCompletion();
        }

        public void messageArrived(String topic, org.eclipse.paho.mqttv5.common.MqttMessage message) {
            got(topic, message.getQos(), message.isRetained(), message.getPayload());
        }

        public void disconnected(MqttDisconnectResponse response) {
            say("lost " + response);
        }

        public void mqttErrorOccurred(MqttException error) {
            say("error " + error);
        }

        public void deliveryComplete(IMqttToken token) {}

        public void connectComplete(boolean again, String address) {}

        public void authPacketArrived(int reason, MqttProperties properties) {}
    }
}
