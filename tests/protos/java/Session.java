// A user of grpc-java who scores, reads the details of an error, and streams. Prints one fact a line.
//
// Usage: java Session PORT, of a router on 127.0.0.1 that serves the model "fraud".

import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.StreamObserver;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import understudy.scoring.v1.FeatureValue;
import understudy.scoring.v1.ScoreRequest;
import understudy.scoring.v1.ScoreResponse;
import understudy.scoring.v1.ScoreStreamRequest;
import understudy.scoring.v1.ScoreStreamResponse;
import understudy.scoring.v1.ScoringServiceGrpc;

public final class Session {
  private static final long LIMIT_S = 120;

  public static void main(String[] arguments) throws Exception {
    int port = Integer.parseInt(arguments[0]);
    ManagedChannel channel =
        NettyChannelBuilder.forAddress("127.0.0.1", port).usePlaintext().build();
    score(channel);
    fail(channel);
    stream(channel);
    channel.shutdownNow().awaitTermination(LIMIT_S, TimeUnit.SECONDS);
  }

  private static void score(ManagedChannel channel) {
    ScoreResponse answer =
        ScoringServiceGrpc.newBlockingStub(channel)
            .withDeadlineAfter(LIMIT_S, TimeUnit.SECONDS)
            .score(
                asked("a")
                    .putEntities("user", "u1")
                    .putFeatures("amount", FeatureValue.newBuilder().setNumber(2.5).build())
                    .setDecisionThreshold(1000.0)
                    .build());
    tell("score", String.format("%.2f", answer.getScore()));
    tell("version", answer.getServedBy().getVersion());
    tell("decision", answer.getDecision());
  }

  private static void fail(ManagedChannel channel) throws Exception {
    try {
      ScoringServiceGrpc.newBlockingStub(channel)
          .withDeadlineAfter(LIMIT_S, TimeUnit.SECONDS)
          .score(asked("b").putEntities("user", "").build());
    } catch (StatusRuntimeException error) {
      tell("code", error.getStatus().getCode());
      Status status = StatusProto.fromThrowable(error);
      for (com.google.protobuf.Any detail : status.getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          tell("reason", detail.unpack(ErrorInfo.class).getReason());
        } else if (detail.is(BadRequest.class)) {
          tell("field", detail.unpack(BadRequest.class).getFieldViolations(0).getField());
        }
      }
    }
  }

  private static void stream(ManagedChannel channel) throws Exception {
    CompletableFuture<Map<String, String>> answers = new CompletableFuture<>();
    Map<String, String> seen = new TreeMap<>();
    StreamObserver<ScoreStreamRequest> requests =
        ScoringServiceGrpc.newStub(channel)
            .withDeadlineAfter(LIMIT_S, TimeUnit.SECONDS)
            .scoreStream(
                new StreamObserver<ScoreStreamResponse>() {
                  @Override
                  public void onNext(ScoreStreamResponse answer) {
                    boolean isScored = answer.hasResponse();
                    seen.put(
                        answer.getRequestId(), isScored ? "scored" : answer.getError().getReason());
                  }

                  @Override
                  public void onError(Throwable error) {
                    answers.completeExceptionally(error);
                  }

                  @Override
                  public void onCompleted() {
                    answers.complete(seen);
                  }
                });
    for (String id : new String[] {"s1", "bad", "s3"}) {
      ScoreRequest.Builder request = asked(id);
      if (!id.equals("bad")) {
        request.putEntities("user", "u1");
      }
      requests.onNext(ScoreStreamRequest.newBuilder().setRequest(request).build());
    }
    requests.onCompleted();
    tell("streamed", answers.get(LIMIT_S, TimeUnit.SECONDS));
  }

  private static ScoreRequest.Builder asked(String requestId) {
    return ScoreRequest.newBuilder().setModel("fraud").setRequestId(requestId);
  }

  private static void tell(String name, Object value) {
    System.out.println(name + " " + value);
  }
}
