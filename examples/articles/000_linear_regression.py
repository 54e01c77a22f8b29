import fastnn as tf
import numpy as np
import pandas as pd
import matplotlib.pyplot as plt

# 数据预处理
x = np.array([1, 2, 3, 4, 5])
y = np.array([2, 4, 6, 8, 10])

# 模型构建
model = tf.keras.Sequential([
    tf.keras.layers.Dense(units=1, input_shape=[1])
])

# 模型编译
model.compile(optimizer='sgd', loss='mean_squared_error')

# 模型训练
model.fit(x, y, epochs=100)

# 模型评估
loss = model.evaluate(x, y)
print(f'Mean Squared Error: {loss}')

# 模型预测
predictions = model.predict(x)
print(predictions)

# 可视化
plt.scatter(x, y)
plt.plot(x, predictions, 'r')
plt.show()
